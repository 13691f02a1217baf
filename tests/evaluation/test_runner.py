# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Whole runs: killed, shared out, continued, refused, and foretold."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from monai_synthfm.data.case_slices import CutIntoSlices
from monai_synthfm.evaluation.dry_run import dry_run
from monai_synthfm.evaluation.predictors import NetworkPredictor
from monai_synthfm.evaluation.prompt_plan import PromptPlan
from monai_synthfm.evaluation.report_handler import RunReport
from monai_synthfm.evaluation.results_table import finished_shards, read_rows
from monai_synthfm.evaluation.runner import EvaluationRunner
from monai_synthfm.evaluation.slice_protocol import SliceProtocol
from tests.evaluation.stand_ins import Counting, Pictures, tiny_sam

PROTOCOL = SliceProtocol(plan=PromptPlan(box=True, interactive_clicks=2))
TABLES = ("rows.parquet", "rows.csv", "skipped.json")


def runner(folder: Path, **options: Any) -> EvaluationRunner:
    arguments: dict[str, Any] = {
        "datasets": [Pictures(4), Pictures(3, "others")],
        "models": [Counting("discs"), Counting("others")],
        "protocol": PROTOCOL,
        "progress": False,
    }
    return EvaluationRunner(output_dir=folder, **{**arguments, **options})


def tables(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in TABLES]


def test_a_run_has_a_row_for_every_model_case_structure_and_prompt(tmp_path: Path) -> None:
    rows = runner(tmp_path).run()
    # even cases have one structure, odd ones two: 4 pictures with 6, 3 others with 4 targets
    assert len(rows) == 2 * (6 + 4) * (4 + 1 + 2)
    pd.testing.assert_frame_equal(rows, read_rows(tmp_path))
    skipped = json.loads((tmp_path / "skipped.json").read_text())
    assert [(r["dataset"], r["case_id"], r["code"]) for r in skipped] == [
        ("pictures", "case0", "absent"),
        ("pictures", "case2", "absent"),
        ("others", "case0", "absent"),
        ("others", "case2", "absent"),
    ]


def evaluate(folder: Path) -> None:
    torch.set_num_threads(1)
    models = [NetworkPredictor(f"tiny{seed}", partial(tiny_sam, seed)) for seed in (0, 1)]
    runner(folder, datasets=[Pictures(10)], models=models).run()


def evaluate_and_die(folder: Path, moment: int) -> None:
    """Evaluate until files in ``folder`` were opened, renamed or removed ``moment`` times, and die of it, as under kill
    -9, before the last of these is done."""
    touched = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal touched
        if event in ("open", "os.rename", "os.remove", "os.rmdir") and str(arguments[0]).startswith(str(folder)):
            touched += 1
            if touched == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    evaluate(folder)


def test_kills_at_any_moment_leave_the_table_of_a_run_that_was_never_killed(tmp_path: Path) -> None:
    # each run in a process that has no threads of this one, all of them after one import of torch
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    moments = random.Random(2)
    folder, progress = tmp_path / "killed", [0]
    for _ in range(3):
        process = context.Process(target=evaluate_and_die, args=(folder, moments.randint(20, 80)))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        progress.append(len(finished_shards(folder)))
    assert progress == sorted(progress)
    assert 0 < progress[-1] < 20
    evaluate(folder)
    evaluate(tmp_path / "whole")
    assert tables(folder) == tables(tmp_path / "whole")
    assert len(read_rows(folder)) == 2 * 15 * 7


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    runner(tmp_path).run()
    before = tables(tmp_path)
    (tmp_path / "shards" / "discs%2Fpictures%2Fcase2.parquet").unlink()
    models = [Counting("discs"), Counting("others")]
    runner(tmp_path, models=models).run()
    assert [model.looks for model in models] == [1, 0]
    assert tables(tmp_path) == before


@pytest.mark.parametrize("count", [2, 3, 9])
def test_any_sharing_out_gives_the_same_table(tmp_path: Path, count: int) -> None:
    runner(tmp_path / "one").run()
    for number in range(count, 1, -1):
        assert runner(tmp_path / "many", shard=f"{number}/{count}").run() is None
    assert runner(tmp_path / "many", shard=f"1/{count}").run() is not None
    assert tables(tmp_path / "many") == tables(tmp_path / "one")


def test_worker_processes_change_nothing(tmp_path: Path) -> None:
    runner(tmp_path / "none").run()
    runner(tmp_path / "two", num_workers=2).run()
    assert tables(tmp_path / "two") == tables(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": replace(PROTOCOL, plan=PromptPlan())}, "another protocol"),
        ({"protocol": replace(PROTOCOL, slicer=CutIntoSlices(objects="each"))}, "another protocol"),
        ({"datasets": [Pictures(5), Pictures(3, "others")]}, "another dataset pictures"),
        ({"models": [NetworkPredictor("discs", tiny_sam()), Counting("others")]}, "another model discs"),
        ({"models": [Counting("discs")]}, "7 shards of the run do not belong"),
    ],
)
def test_rows_of_another_run_are_not_mixed_in(tmp_path: Path, change: dict, message: str) -> None:
    runner(tmp_path).run()
    with pytest.raises(ValueError, match=message):
        runner(tmp_path, **change).run()


def test_a_model_may_join_later(tmp_path: Path) -> None:
    runner(tmp_path, models=[Counting("discs")]).run()
    late = [Counting("discs"), Counting("others")]
    rows = runner(tmp_path, models=late).run()
    assert late[0].looks == 0
    assert set(rows.model) == {"discs", "others"}


def test_a_broken_case_stops_the_run_or_is_reported(tmp_path: Path) -> None:
    broken = [Pictures(3, broken=("case1",))]
    with pytest.raises(ValueError, match=r"pictures case1: unreadable: 1\.png: cut short"):
        runner(tmp_path / "stops", datasets=broken).run()
    rows = runner(tmp_path / "goes", datasets=broken, on_fault="skip").run()
    assert set(rows.case_id) == {"case0", "case2"}
    (record,) = [r for r in json.loads((tmp_path / "goes" / "skipped.json").read_text()) if r["code"] == "unreadable"]
    assert (record["case_id"], record["file"]) == ("case1", "1.png")


def test_a_run_of_broken_cases_alone_ends_with_an_error_that_says_why(tmp_path: Path) -> None:
    broken = [Pictures(2, broken=("case0", "case1"))]
    with pytest.raises(ValueError, match=r"nothing was evaluated: 2 cases .*: pictures case0: unreadable"):
        runner(tmp_path, datasets=broken, on_fault="skip").run()
    assert len(json.loads((tmp_path / "skipped.json").read_text())) == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_case_is_named_by_worker_processes_too(tmp_path: Path, workers: int) -> None:
    with pytest.raises(ValueError, match="pictures case1: unreadable"):
        runner(tmp_path, datasets=[Pictures(3, broken=("case1",))], num_workers=workers).run()


def test_the_report_is_written_at_the_end(tmp_path: Path) -> None:
    runner(tmp_path, report=RunReport("Discs", paper_tables=[1])).run()
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Discs" in page
    assert "interactive_clicks" in page
    assert (tmp_path / "report" / "dsc.csv").is_file()
    assert "data:image" in page


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"datasets": []}, "datasets"),
        ({"models": [Counting(), Counting()]}, "models"),
        ({"shard": "3/2"}, "shard"),
        ({"on_fault": "ignore"}, "on_fault"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, wrong: dict, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        runner(tmp_path, **wrong)


def test_the_dry_run_counts_what_the_run_then_does(tmp_path: Path) -> None:
    job = runner(tmp_path)
    told = dry_run(job.datasets, job.models, job.protocol)
    rows = job.run()
    done = rows[(rows.model == "discs") & (rows.prompts == "1p0n")].groupby(["dataset", "structure"])
    counts = told.counts.set_index(["dataset", "structure"])
    assert counts.cases.to_dict() == done.case_id.nunique().to_dict()
    assert counts.masks.to_dict() == done.size().to_dict()
    assert counts.rows.to_dict() == rows.groupby(["dataset", "structure"]).size().to_dict()
    assert told.skipped.records.sum() == 4

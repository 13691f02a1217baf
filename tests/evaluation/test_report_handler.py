# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The report at the end of a run: what the run tells it, and what is left behind."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from monai_synthfm.evaluation import report_handler as run_report
from monai_synthfm.evaluation.html_report import write_report
from monai_synthfm.evaluation.models import open_model
from monai_synthfm.evaluation.predictors import NetworkPredictor
from monai_synthfm.evaluation.prompt_plan import PromptPlan
from monai_synthfm.evaluation.report_handler import RunReport
from monai_synthfm.evaluation.results_table import read_rows
from monai_synthfm.evaluation.runner import EvaluationRunner
from monai_synthfm.evaluation.slice_protocol import SliceProtocol
from monai_synthfm.networks import Sam
from monai_synthfm.networks.weights.fingerprint import file_settings, state_sha256
from tests.evaluation.stand_ins import Counting, Pictures, tiny_sam

PROTOCOL = SliceProtocol(plan=PromptPlan(click_pairs=[(1, 0)]))


def runner(folder: Path, **options: Any) -> EvaluationRunner:
    arguments: dict[str, Any] = {"datasets": [Pictures(3)], "models": [Counting()], "protocol": PROTOCOL}
    return EvaluationRunner(output_dir=folder, progress=False, **{**arguments, **options})


def arguments_of(*values: Any, **named: Any) -> dict[str, Any]:
    """Names and values that ``write_report`` would be called with; what it cannot be called with raises."""
    return inspect.signature(write_report).bind(*values, **named).arguments


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Arguments of the last report, which is not drawn."""
    seen: dict[str, Any] = {}

    def remember(*values: Any, **named: Any) -> Path:
        seen.update(arguments_of(*values, **named))
        return Path(seen["folder"]) / "report.html"

    monkeypatch.setattr(run_report, "write_report", remember)
    return seen


def test_the_report_is_told_models_settings_data_and_what_was_left_out(
    tmp_path: Path, written: Mapping[str, Any]
) -> None:
    models = [Counting("discs"), Counting("others")]
    datasets = [Pictures(3, broken=("case1",)), Pictures(2, "more", exclude=["case0"])]
    rows = runner(
        tmp_path, models=models, datasets=datasets, on_fault="skip", report=RunReport("Discs", (3, 1), gallery=False)
    ).run()
    assert (written["folder"], written["title"], written["paper_tables"]) == (tmp_path / "report", "Discs", [3, 1])
    pd.testing.assert_frame_equal(written["rows"], rows)
    told = written["provenance"]
    assert told.weights == [
        {"model": "discs", "function": "discs", "version": "", "files": []},
        {"model": "others", "function": "discs", "version": "", "files": []},
    ]
    expected = {
        "protocol: slicer.slices": "all",
        "protocol: slicer.preprocessing.min_voxels": 1000,
        "protocol: slicer.preprocessing.min_pixels": 100,
        "protocol: plan.click_pairs": [[1, 0]],
        "NSD tolerance, mm": 2.0,
        "pictures: root": ".",
        "pictures: structures": ["large", "small"],
        "pictures: modality": "us",
        "pictures: on_fault": "raise",
        "pictures: cases": 3,
        "more: exclude": ["case0"],
        "more: cases": 1,
        "pictures: structures without any row": "small",
    }
    assert {name: told.settings.get(name) for name in expected} == expected
    # even cases have no small disc
    assert sorted((skip["dataset"], skip["case_id"], skip["code"]) for skip in told.skips) == [
        ("more", "case0", "excluded"),
        ("pictures", "case0", "absent"),
        ("pictures", "case1", "unreadable"),
        ("pictures", "case2", "absent"),
    ]


def test_structures_without_a_row_are_named(
    tmp_path: Path, written: Mapping[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    dataset = Pictures(2)
    dataset.data = [replace(case, structures={**case.structures, "nowhere": 9}) for case in dataset.data]
    runner(tmp_path, datasets=[dataset], report=RunReport("Discs", gallery=False)).run()
    assert written["provenance"].settings["pictures: structures without any row"] == "nowhere"
    assert "pictures: no row of nowhere, in any of 2 cases" in caplog.text


def test_a_run_without_a_row_says_why_cases_were_left_out(tmp_path: Path) -> None:
    job = runner(
        tmp_path,
        datasets=[Pictures(2, broken=("case0", "case1"))],
        on_fault="skip",
        report=RunReport("Discs", gallery=False),
    )
    with pytest.raises(
        ValueError, match=r"nothing was evaluated: 2 cases were left out, see .*skipped\.json, the first .*unreadable"
    ):
        job.run()
    assert len(json.loads((tmp_path / "skipped.json").read_text())) == 2
    assert not (tmp_path / "report").exists()


def test_a_run_without_a_target_names_structures_and_reasons(tmp_path: Path) -> None:
    job = runner(tmp_path, datasets=[Pictures(1, structures=["small"])], report=RunReport("Discs", gallery=False))
    reason = "small of pictures: the structure is not in this case, 1 x"
    with pytest.raises(ValueError, match=rf"no target was evaluated, so there is nothing to report \({reason}\)"):
        job.run()


@pytest.mark.parametrize("gallery", [False, True])
def test_answers_are_made_again_for_the_gallery_alone(
    tmp_path: Path, written: Mapping[str, Any], gallery: bool
) -> None:
    model = Counting()
    job = runner(tmp_path, models=[model], report=RunReport("Discs", gallery=gallery))
    rows = job.run()
    assert model.looks == 3
    assert (written["load_example"] is not None) == gallery
    if gallery:
        row = rows.iloc[-1].to_dict()
        example = written["load_example"](row)
        assert model.looks == 4
        found, target = example.prediction, example.target
        assert 2 * (found & target).sum() / (found.sum() + target.sum()) == pytest.approx(row["dsc"], abs=1e-6)


def test_the_end_of_a_run_tells_where_its_report_is(
    tmp_path: Path, written: Mapping[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    runner(tmp_path, report=RunReport("Discs", gallery=False)).run()
    assert capsys.readouterr().out == f"report: {tmp_path / 'report' / 'report.html'}\n"


def test_networks_that_the_gallery_needs_are_built_again_and_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Sam] = []

    def build() -> Sam:
        built.append(tiny_sam())
        return built[-1]

    def draw(*values: Any, **named: Any) -> Path:
        given = arguments_of(*values, **named)
        assert len(built) == 1
        assert model.network is None
        given["load_example"](given["rows"].iloc[0].to_dict())
        assert model.network is built[1]
        return given["folder"] / "report.html"

    monkeypatch.setattr(run_report, "write_report", draw)
    model = NetworkPredictor("tiny", build)
    runner(tmp_path, datasets=[Pictures(1)], models=[model], report=RunReport("Tiny")).run()
    assert len(built) == 2
    assert model.network is None


def test_a_finished_run_is_reported_again_without_a_look_at_its_data(
    tmp_path: Path, written: Mapping[str, Any]
) -> None:
    runner(tmp_path).run()
    model = Counting()
    later = runner(tmp_path, models=[model], datasets=[Pictures(3, broken=("case0", "case1", "case2"))])
    page = RunReport("Later", gallery=False)(later, read_rows(tmp_path))
    assert page == tmp_path / "report" / "report.html"
    # one row for each of the two structures of case 1, and one for the only structure of the others
    assert written["rows"].case_id.value_counts().to_dict() == {"case0": 1, "case1": 2, "case2": 1}
    assert "pictures: structures without any row" not in written["provenance"].settings
    assert [skip["case_id"] for skip in written["provenance"].skips] == ["case0", "case2"]
    assert model.looks == 0


def test_files_of_weights_are_named_with_their_own_hash(tmp_path: Path, written: Mapping[str, Any]) -> None:
    trained = tiny_sam(4)
    torch.save({"model": trained.state_dict(), "settings": file_settings(trained)}, tmp_path / "model.pt")
    models = [open_model(tmp_path / "model.pt", label="trained"), NetworkPredictor("random", tiny_sam())]
    runner(tmp_path / "run", datasets=[Pictures(1)], models=models, report=RunReport("Tiny", gallery=False)).run()
    first, second = written["provenance"].weights
    digest = hashlib.sha256((tmp_path / "model.pt").read_bytes()).hexdigest()
    assert first["files"] == [{"file": str(tmp_path / "model.pt"), "sha256": digest}]
    assert first["state_sha256"] == state_sha256(trained) != digest
    assert second["files"] == []


def test_tables_are_printed_by_name_and_missing_ones_are_said_to_be_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner(tmp_path, report=RunReport("Discs", gallery=False, show=["dsc_intervals", "volume_tests"])).run()
    said = capsys.readouterr().out
    assert (tmp_path / "report" / "dsc_intervals.md").read_text() in said
    assert "volume_tests\n\nThis run has no such table." in said


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="model%20discs"):
        RunReport("Nothing")(runner(tmp_path), pd.DataFrame())
    assert not (tmp_path / "report").exists()


def test_a_table_that_the_paper_does_not_have_is_refused_before_the_run() -> None:
    with pytest.raises(ValueError, match=r"one of \[1, 2, 3\], got 4"):
        RunReport("figures", [1, 4])

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Whole runs over volumes: rows, killed and continued runs, the dry run, and the report with its pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from monai_synthfm.data.datasets import open_dataset
from monai_synthfm.evaluation.aggregation import interaction_scores
from monai_synthfm.evaluation.dry_run import dry_run
from monai_synthfm.evaluation.predictors import NetworkPredictor
from monai_synthfm.evaluation.prompt_plan import PromptPlan
from monai_synthfm.evaluation.replay import RowReplay
from monai_synthfm.evaluation.report_handler import RunReport
from monai_synthfm.evaluation.results_table import make_rows, read_rows, volume_rows
from monai_synthfm.evaluation.runner import EvaluationRunner
from monai_synthfm.evaluation.slice_profiles import read_slices
from monai_synthfm.evaluation.volume_metrics import score_volume
from monai_synthfm.evaluation.volume_plan import VolumePlan
from monai_synthfm.evaluation.volume_predictors import NetworkVolumePredictor
from monai_synthfm.evaluation.volume_protocol import VolumeProtocol
from tests.evaluation.stand_ins import Pictures
from tests.evaluation.volume_stand_ins import PROTOCOL, Extruder, Volumes
from tests.inferers.region_grower import RegionGrower
from tests.replicas.camus import FRAMES, write_camus_nifti

DATASET = Volumes()
PREPARED = PROTOCOL.prepare(DATASET.load(DATASET.data[1]))
TABLES = ("rows.parquet", "rows.csv", "slices.parquet", "skipped.json")


def runner(folder: Path, **options: Any) -> EvaluationRunner:
    arguments: dict[str, Any] = {"datasets": [Volumes()], "models": [Extruder(), Extruder("far", 9)]}
    return EvaluationRunner(output_dir=folder, progress=False, **{"protocol": PROTOCOL, **arguments, **options})


def tables(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in TABLES]


def test_one_look_at_a_volume_serves_all_targets_and_prompts() -> None:
    model = Extruder()
    rows = make_rows(PROTOCOL.rows(model, PREPARED))
    assert model.looks == 1
    assert len(rows) == 2 * PROTOCOL.plan.answers
    # the middle slice of the ball is its largest, which is asked once for both; the first of the rod's are equal
    assert model.answers == (2 + 2) * 4
    assert volume_rows(rows).all()
    ball = rows[(rows.structure == "ball") & (rows.prompts == "mask@largest/both")].iloc[0]
    assert ball.slice_index == 4
    assert ball.dsc_prompted == 1.0


def test_rows_score_the_answers_of_the_model() -> None:
    rows = make_rows(PROTOCOL.rows(Extruder(reach=9), PREPARED))
    (rod,) = [target for target in PREPARED.targets if target.structure == "rod"]
    mask = rod.mask(PREPARED.size)
    # the rod's mask on its first slice, carried through the whole volume
    everywhere = np.repeat(mask[..., 1:2], mask.shape[2], axis=2)
    expected = score_volume(everywhere, mask, 1, 2, (1.0, 1.0, 2.0))
    row = rows[(rows.structure == "rod") & (rows.prompts == "mask@first/both")].iloc[0]
    assert row.dsc == expected.dsc == pytest.approx(2 * 5 / (5 + 9))
    assert row.over_propagation == expected.over_propagation == pytest.approx(4 / 5)
    assert (row.nsd, row.hd95) == (expected.nsd, expected.hd95)


def test_the_direction_is_that_of_slice_indexes() -> None:
    plan = VolumePlan(None, slices=("middle",), directions=("forward", "backward"))
    rows = make_rows(VolumeProtocol(PROTOCOL.cases, plan).rows(Extruder(reach=9), PREPARED))
    rod = rows[rows.structure == "rod"].set_index("prompts")
    # slices 1 to 5 of 9, prompted on 3: three of them forward with three beyond, three of them backward with one
    assert rod.over_propagation["mask@middle/forward"] == pytest.approx(3 / 5)
    assert rod.over_propagation["mask@middle/backward"] == pytest.approx(1 / 5)


def test_what_is_done_is_not_done_again_and_the_table_is_the_same(tmp_path: Path) -> None:
    runner(tmp_path).run()
    before = tables(tmp_path)
    (tmp_path / "shards" / "far%2Fvolumes%2Fcase1.parquet").unlink()
    models = [Extruder(), Extruder("far", 9)]
    runner(tmp_path, models=models).run()
    assert [model.looks for model in models] == [0, 1]
    assert tables(tmp_path) == before


def test_any_sharing_out_and_worker_processes_give_the_same_table(tmp_path: Path) -> None:
    runner(tmp_path / "one").run()
    assert runner(tmp_path / "many", shard="2/2").run() is None
    assert runner(tmp_path / "many", shard="1/2", num_workers=1).run() is not None
    assert tables(tmp_path / "many") == tables(tmp_path / "one")


class Killed(BaseException):
    """Not to be caught by anything on the way."""


class Mortal(Extruder):
    """Dies at an answer."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last = last

    def segment(self, *args: Any) -> np.ndarray:
        if self.answers == self.last:
            raise Killed
        return super().segment(*args)


def test_a_run_killed_anywhere_goes_on_to_the_table_of_a_run_that_was_not(tmp_path: Path) -> None:
    whole = Extruder()
    runner(tmp_path / "whole", models=[whole]).run()
    for last in range(0, whole.answers, 5):
        with pytest.raises(Killed):
            runner(tmp_path / f"{last}", models=[Mortal(last)]).run()
        runner(tmp_path / f"{last}", models=[Extruder()]).run()
        assert tables(tmp_path / f"{last}") == tables(tmp_path / "whole")


def test_rows_of_another_plan_are_not_mixed_in(tmp_path: Path) -> None:
    runner(tmp_path).run()
    with pytest.raises(ValueError, match="another protocol"):
        runner(tmp_path, protocol=VolumeProtocol(PROTOCOL.cases)).run()


def test_pictures_are_left_out_and_said_so(tmp_path: Path) -> None:
    rows = runner(tmp_path, datasets=[Volumes(1), Pictures(2)]).run()
    assert set(rows.dataset) == {"volumes"}
    skipped = json.loads((tmp_path / "skipped.json").read_text())
    assert [r["case_id"] for r in skipped if r["code"] == "no_volume"] == ["case0", "case1"]


def test_half_cycles_of_camus_are_followed_from_end_diastole_to_end_systole(tmp_path: Path) -> None:
    dataset = open_dataset("camus_half_sequence", write_camus_nifti(tmp_path))
    plan = VolumePlan(None, slices=("first",), directions=("forward",))
    protocol = VolumeProtocol(PROTOCOL.cases, plan)
    rows = runner(tmp_path / "eval", datasets=[dataset], models=[Extruder(reach=FRAMES)], protocol=protocol).run()
    assert set(rows.structure) == {"left_ventricle", "left_atrium"}
    assert (rows.slice_index == 0).all()
    assert rows.spacing_known.all()
    assert (rows.dsc_prompted == 1.0).all()
    assert (rows.over_propagation == 0.0).all()
    # the atrium of the replica stands still; the ventricle shrinks, also where the file runs backwards
    atrium, ventricle = rows[rows.structure == "left_atrium"], rows[rows.structure == "left_ventricle"]
    assert (atrium.dsc == 1.0).all()
    assert (ventricle.dsc_farthest < ventricle.dsc_slices).all()
    assert (ventricle.dsc_slices < 1.0).all()
    for case in dataset.data:
        label = dataset.load(case)["label"][0].numpy() == 1
        first, last = label[..., 0], label[..., -1]
        expected = 2 * (first & last).sum() / (first.sum() + last.sum())
        assert ventricle[ventricle.case_id == case["case_id"]].dsc_farthest.item() == pytest.approx(expected)


def interactive(folder: Path, network: RegionGrower, **options: Any) -> EvaluationRunner:
    plan = VolumePlan(PromptPlan(click_pairs=(), box=True), mask=False, slices=("largest",), challenge_clicks=2)
    models = [NetworkVolumePredictor(NetworkPredictor("grower", network))]
    return runner(folder, models=models, protocol=VolumeProtocol(PROTOCOL.cases, plan), **options)


def test_the_challenge_has_a_row_for_each_interaction_and_encodes_no_slice_twice(tmp_path: Path) -> None:
    network = RegionGrower()
    interactive(tmp_path / "rows", network, datasets=[Volumes(2)]).run()
    assert network.encoded <= 2 * 9
    rows = interactive(tmp_path, network, datasets=[Volumes(2)], report=RunReport("Clicks")).run()
    assert volume_rows(rows).all()
    for _, part in rows.groupby(["case_id", "structure"]):
        assert sorted(part.prompts) == ["box@largest/both", "challenge-00", "challenge-01", "challenge-02"]
    scores = interaction_scores(rows)
    for score in scores.to_dict("records"):
        run = rows[(rows.case_id == score["case_id"]) & (rows.structure == score["structure"])].set_index("prompts")
        # over the clicks, without the box
        assert score["auc"] == pytest.approx((run.dsc["challenge-01"] + run.dsc["challenge-02"]) / 2)
        assert score["nsd_last"] == run.nsd["challenge-02"]
    assert (tmp_path / "report" / "interaction_intervals.csv").is_file()
    assert "challenge" not in (tmp_path / "report" / "volume_failures.csv").read_text()


def test_a_row_of_the_challenge_can_be_made_again(tmp_path: Path) -> None:
    run = interactive(tmp_path, RegionGrower(), datasets=[DATASET])
    replay = RowReplay([DATASET], run.models, run.protocol)
    rows = run.protocol.rows(run.models[0], PREPARED)
    for row in [row for row in rows if row["prompts"].startswith("challenge")][1::2]:
        example = replay(row)
        both = (example.prediction & example.target).sum()
        assert 2 * both / (example.prediction.sum() + example.target.sum()) == pytest.approx(row["dsc_prompted"])


def test_interactions_may_be_all_that_is_asked_for(tmp_path: Path) -> None:
    job = interactive(tmp_path, RegionGrower(), datasets=[Volumes(1)], report=RunReport("Clicks", gallery=False))
    job.protocol = VolumeProtocol(PROTOCOL.cases, VolumePlan(None, mask=False, challenge_clicks=1))
    told = dry_run(job.datasets, job.models, job.protocol)
    rows = job.run()
    assert set(rows.prompts) == {"challenge-00", "challenge-01"}
    assert told.counts.rows.sum() == len(rows)


def test_models_without_a_session_are_refused_before_any_work(tmp_path: Path) -> None:
    model = Extruder()
    protocol = VolumeProtocol(PROTOCOL.cases, VolumePlan(challenge_clicks=5))
    with pytest.raises(ValueError, match="extruder has no interactive session: set challenge_clicks to 0"):
        runner(tmp_path, models=[model], protocol=protocol).run()
    assert model.answers == 0


def test_slices_are_those_of_the_scores(tmp_path: Path) -> None:
    rows = runner(tmp_path, models=[Extruder(reach=9)]).run().set_index(["case_id", "structure", "prompts", "seed"])
    slices = read_slices(tmp_path)
    slices["dsc"] = 2 * slices.intersection / (slices.area_target + slices.area_pred)
    for key, part in slices.groupby(list(rows.index.names)):
        row, shown = rows.loc[key], part[part.area_target > 0]
        assert part.intersection.sum() == row.intersection
        assert part.area_pred.sum() == row.area_pred
        assert shown.dsc.mean() == pytest.approx(row.dsc_slices)
        assert part[part.distance == 0].dsc.item() == pytest.approx(row.dsc_prompted)
        assert (part.distance_mm == 2.0 * part.distance).all()


def test_the_dry_run_counts_what_the_run_then_does(tmp_path: Path) -> None:
    job = runner(tmp_path)
    told = dry_run(job.datasets, job.models, job.protocol)
    rows = job.run()
    done = rows[(rows.model == "far") & (rows.prompts == "box@first/both")].groupby(["dataset", "structure"])
    counts = told.counts.set_index(["dataset", "structure"])
    assert counts.masks.to_dict() == done.size().to_dict()
    assert counts.rows.to_dict() == rows.groupby(["dataset", "structure"]).size().to_dict()
    assert counts.slices["volumes", "rod"] == 5


def test_a_row_can_be_made_again_with_its_views() -> None:
    model = Extruder()
    replay = RowReplay([DATASET], [model], PROTOCOL)
    for row in PROTOCOL.rows(model, PREPARED)[::5]:
        example = replay(row)
        assert np.array_equal(example.image, PREPARED.image[0, ..., row["slice_index"]].T)
        both = (example.prediction & example.target).sum()
        assert 2 * both / (example.prediction.sum() + example.target.sum()) == pytest.approx(row["dsc_prompted"])
        assert [view.image.shape for view in example.others] == [(9, 16), (9, 20)]
    with pytest.raises(ValueError, match="no row"):
        replay({**row, "prompts": "box@first/backward"})


def test_the_report_has_tables_of_volumes_and_pictures(tmp_path: Path) -> None:
    plan = VolumePlan(PromptPlan(click_pairs=((1, 0),)), slices=("first",))
    rows = runner(tmp_path, protocol=VolumeProtocol(PROTOCOL.cases, plan), report=RunReport("Balls and rods")).run()
    page = (tmp_path / "report" / "report.html").read_text()
    assert "3D DSC by structure" in page
    assert "mean over all slices" not in page
    assert "data:image/png" in page
    pd.testing.assert_frame_equal(rows, read_rows(tmp_path))
    table = pd.read_csv(tmp_path / "report" / "volume_over_propagation.csv")
    (figure,) = table.loc[table.structure == "rod", "far mask@first/both"]
    rod = rows[(rows.model == "far") & (rows.structure == "rod") & (rows.prompts == "mask@first/both")]
    assert figure == pytest.approx(100 * rod.over_propagation.mean(), abs=0.01)
    assert "DSC over distance in mm" in page
    curve = pd.read_csv(tmp_path / "report" / "volume_distance_slices.csv").set_index(["prompts", "model"])
    assert curve["0"]["mask@first/both", "far"] == 100.0  # of too few patients for an interval

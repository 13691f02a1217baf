# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Many images in one run of the bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigWorkflow

from tests.batch.prompted_images import TABLE, CountingGrower, outputs, save_images, status, table_of
from tests.bundles.stored_volumes import ORIENTATIONS, STRAIGHT, store
from tests.bundles.two_processes import run_on_two_nodes
from tests.data.datasets.dicom_files import write_series
from tests.inferers.level_segmenter import LevelSegmenter
from tests.inferers.region_grower import RegionGrower

Run = Callable[..., ConfigWorkflow]


@pytest.fixture
def home(tmp_path: Path, voxels: np.ndarray) -> Path:
    save_images(tmp_path, voxels)
    return tmp_path


@pytest.fixture
def batch(bundle_dir: Path, home: Path) -> Run:
    """Run the batch in this process with the region grower in place of a network."""

    def run(table: str, output_dir: str = "out", *more: str, **override: Any) -> ConfigWorkflow:
        (home / "prompts.csv").write_text(table)
        CountingGrower.count = 0
        configs = [str(bundle_dir / "configs" / f"{name}.yaml") for name in ("inference", "batch_inference", *more)]
        workflow = ConfigWorkflow(
            config_file=configs,
            workflow_type="infer",
            logging_file=False,
            prompts=str(home / "prompts.csv"),
            dataset_dir=str(home),
            output_dir=str(home / output_dir),
            **{
                "device": torch.device("cpu"),
                "network_def": CountingGrower(),
                "direction": "none",
                **override,
            },
        )
        workflow.initialize()
        workflow.run()
        return workflow

    return run


def test_each_image_is_segmented_as_alone_but_for_the_names_of_objects(
    batch: Run, home: Path, segment: Callable[..., ConfigWorkflow]
) -> None:
    batch(TABLE)
    prompts = {"points": [[[9, 13, 4]], []], "point_labels": [[1], []], "boxes": [[], [2, 2, 4, 20, 20, 4]]}
    segment(home / "a/ct.nii.gz", home / "alone", **prompts)
    written = [home / place / "ct_segmentation.nii.gz" for place in ("out/a", "alone")]
    assert written[0].read_bytes() == written[1].read_bytes()
    reports = [json.loads((home / place / "ct_report.json").read_text()) for place in ("out/a", "alone")]
    for report in reports:
        report.pop("seconds")
    assert len(reports[0].pop("request_sha256")) == 64
    assert [found.pop("name") for found in reports[0]["objects"]] == ["bright", "boxed"]
    assert reports[0] == reports[1]

    summary = table_of(home / "out/summary.csv")
    assert [(row["image"], row["object"], row["label"]) for row in summary] == [
        ("a/ct.nii.gz", "bright", "1"),
        ("a/ct.nii.gz", "boxed", "2"),
        ("b/ct.nii.gz", "1", "1"),
        ("b/other.nii.gz", "third", "1"),
    ]
    for row, found in zip(summary, reports[0]["objects"], strict=False):
        assert float(row["ml"]) == pytest.approx(found["mm3"] / 1000)
        assert int(row["slices"]) == 1
        assert float(row["seconds"]) > 0
        assert (home / "out" / row["segmentation"]).is_file()
    assert not (home / "out/failed.csv").exists()


def test_the_last_line_names_the_table(batch: Run, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workflow = batch("image,clicks\na/ct.nii.gz,9 13 4\n")
    capsys.readouterr()
    workflow.finalize()
    table = home / "out" / "summary.csv"
    assert table.is_file()
    assert capsys.readouterr().out == f"{table} has a row for each object\n"


def test_what_is_done_is_left_and_what_changed_is_done_again(batch: Run, home: Path, voxels: np.ndarray) -> None:
    batch(TABLE)
    assert CountingGrower.count > 0
    before = {path: path.stat().st_mtime_ns for path in (home / "out").rglob("ct_*")}
    first = (home / "out/summary.csv").read_bytes()
    batch(TABLE)
    assert CountingGrower.count == 0
    assert {path: path.stat().st_mtime_ns for path in (home / "out").rglob("ct_*")} == before
    assert (home / "out/summary.csv").read_bytes() == first

    def redone(table: str, **override: Any) -> set[str]:
        before = {path: path.stat().st_mtime_ns for path in (home / "out").rglob("*_report.json")}
        batch(table, **override)
        changed = {path for path, time in before.items() if path.stat().st_mtime_ns != time}
        return {str(path.relative_to(home / "out")) for path in changed}

    assert redone(TABLE.replace("4 9 12", "4 8 12")) == {"b/other_report.json"}
    assert redone(TABLE) == {"b/other_report.json"}
    store(home / "a/ct.nii.gz", voxels + 1, STRAIGHT, ORIENTATIONS[0])
    assert redone(TABLE) == {"a/ct_report.json"}
    (home / "out/b/ct_segmentation.nii.gz").unlink()
    assert redone(TABLE) == {"b/ct_report.json"}
    everything = {"a/ct_report.json", "b/ct_report.json", "b/other_report.json"}
    assert redone(TABLE, keep_largest=True) == everything
    assert redone(TABLE, keep_largest=True, modality="ct") == everything


def test_shard_and_what_is_done_on_faults_and_empty_objects_reach_the_batch(batch: Run, home: Path) -> None:
    workflow = batch(TABLE, shard="2/2", on_fault="raise", on_empty="fail")
    assert set(outputs(home / "out")) == {"b/ct_segmentation.nii.gz", "b/ct_overlay.png"}  # the second of three
    done = workflow.parser.get_parsed_content("batch")
    assert (done.shard, done.on_fault, done.on_empty) == ((2, 2), "raise", "fail")


def test_another_size_of_answers_is_another_request(batch: Run, home: Path) -> None:
    small = {"network_def": LevelSegmenter()}
    voxels = {}
    for multimask in ("never", "smaller", "larger"):
        batch(TABLE, multimask=multimask, **small)
        _, boxed = json.loads((home / "out/a/ct_report.json").read_text())["objects"]
        voxels[multimask] = boxed["voxels"]
        assert boxed["alternatives"].get("chosen") == {"never": None, "smaller": 0, "larger": 2}[multimask]
    assert voxels["smaller"] < voxels["never"] < voxels["larger"]


def test_a_modality_of_a_row_goes_before_that_of_the_run(batch: Run, home: Path) -> None:
    batch("image,clicks,modality\na/ct.nii.gz,9 13 4,ct\nb/ct.nii.gz,4 9 13,\n", modality="mr")
    reports = [json.loads((home / "out" / place / "ct_report.json").read_text()) for place in "ab"]
    assert [report["intensity"]["modality"] for report in reports] == ["ct", "mr"]


@pytest.mark.slow
def test_two_nodes_share_the_images_and_folders_of_their_own_can_be_joined(
    bundle_dir: Path, batch: Run, home: Path
) -> None:
    network = {"_target_": "tests.inferers.region_grower.RegionGrower"}
    (home / "network.yaml").write_text(yaml.safe_dump({"network_def": network, "direction": "none"}))
    names = ("inference", "batch_inference", "multi_gpu_batch_inference")
    configs = [*(bundle_dir / "configs" / f"{name}.yaml" for name in names), home / "network.yaml"]
    options = {"prompts": home / "prompts.csv", "dataset_dir": home, "device": "cpu"}
    batch(TABLE, "whole", network_def=RegionGrower())

    # torchrun ends what is beside a process that fails: all is done before any does
    (home / "prompts.csv").write_text(TABLE + "no.nii.gz,none,1 1 1,,\n")
    shown = run_on_two_nodes(configs, options, [{"output_dir": home / "shared"}] * 2, check=False)
    assert ["1 of 4 images failed" in text for text in shown] == [True, True]
    assert [row["image"] for row in table_of(home / "shared/failed.csv")] == ["no.nii.gz"]
    assert outputs(home / "shared") == outputs(home / "whole")

    (home / "prompts.csv").write_text(TABLE)
    own = [home / "first", home / "second"]
    shown = run_on_two_nodes(configs, options, [{"output_dir": folder} for folder in own])
    rows = [[row["image"] for row in table_of(folder / "summary.csv")] for folder in own]
    assert sorted(rows) == [["a/ct.nii.gz", "a/ct.nii.gz", "b/other.nii.gz"], ["b/ct.nii.gz"]]
    for folder, text in zip(own, shown, strict=True):
        assert f"of 3 images are not in {folder}, since other processes have folders of their own" in text
    shutil.copytree(own[1], own[0], dirs_exist_ok=True)
    before = {path: path.stat().st_mtime_ns for path in own[0].rglob("*_segmentation.nii.gz")}
    batch(TABLE, "first", network_def=RegionGrower())
    assert {path: path.stat().st_mtime_ns for path in own[0].rglob("*_segmentation.nii.gz")} == before
    assert outputs(own[0]) == outputs(home / "whole")
    objects = [
        [(row["image"], row["object"], row["ml"]) for row in table_of(folder / "summary.csv")]
        for folder in (own[0], home / "whole")
    ]
    assert objects[0] == objects[1]


def test_a_series_in_a_folder_of_several_is_an_image(batch: Run, home: Path, voxels: np.ndarray) -> None:
    for number in (3, 4):
        named = {"SeriesNumber": number, "SeriesInstanceUID": f"1.2.{number}", "Modality": "MR"}
        write_series(home / "dicom", voxels + number, STRAIGHT, lambda z, n=number: f"{n}_{z}.dcm", **named)
    with pytest.raises(RuntimeError) as caught:
        batch("image,clicks,series\ndicom,9 13 4,3\ndicom,9 13 4,4\ndicom,9 13 4,5\n")
    assert "series" in str(status(caught))
    found = {path.parent for path in (home / "out").rglob("*_segmentation.nii.gz")}
    assert found == {home / "out/dicom/3", home / "out/dicom/4"}
    assert [row["row"] for row in table_of(home / "out/failed.csv")] == ["3"]

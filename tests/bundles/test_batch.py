# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Many images in one run."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow

from monai_synthfm.batch.segmentation import UnfinishedBatchError
from monai_synthfm.networks.promptable import ImageEmbedding
from monai_synthfm.prompts import Prompts
from tests.bundles.stored_volumes import OBLIQUE, ORIENTATIONS, STRAIGHT, root_of, store
from tests.data.datasets.dicom_files import write_series
from tests.inferers.level_segmenter import LevelSegmenter
from tests.inferers.region_grower import RegionGrower

Run = Callable[..., ConfigWorkflow]


class CountingGrower(RegionGrower):
    """Counts the slices that it is asked about."""

    count = 0

    def encode(self, image: torch.Tensor) -> ImageEmbedding:
        CountingGrower.count += len(image)
        return super().encode(image)


@pytest.fixture
def home(tmp_path: Path, voxels: np.ndarray) -> Path:
    """Two folders with images of one name, and one more."""
    for place, ornt in (("a/ct", 0), ("b/ct", 25), ("b/other", 30)):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        store(tmp_path / f"{place}.nii.gz", voxels, OBLIQUE if ornt else STRAIGHT, ORIENTATIONS[ornt])
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


def status(error: pytest.ExceptionInfo[BaseException]) -> UnfinishedBatchError:
    root = root_of(error.value)
    assert isinstance(root, UnfinishedBatchError)
    assert root.exit_status == 4
    return root


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def outputs(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.name.endswith((".nii.gz", ".png"))
    }


TABLE = """image,object,clicks,labels,box
a/ct.nii.gz,bright,9 13 4,1,
b/ct.nii.gz,,"[[4, 9, 13]]",,
a/ct.nii.gz,boxed,,,2 2 4 20 20 4
b/other.nii.gz,third,4 9 13; 4 9 12,1 0,
"""


def test_each_image_is_segmented_as_alone(batch: Run, home: Path, segment: Callable[..., ConfigWorkflow]) -> None:
    batch(TABLE)
    prompts = {"points": [[[9, 13, 4]], []], "point_labels": [[1], []], "boxes": [[], [2, 2, 4, 20, 20, 4]]}
    segment(home / "a/ct.nii.gz", home / "alone", **prompts)
    for ending in ("segmentation.nii.gz", "overlay.png"):
        assert (home / "out/a" / f"ct_{ending}").read_bytes() == (home / "alone" / f"ct_{ending}").read_bytes()
    reports = [json.loads((home / place / "ct_report.json").read_text()) for place in ("out/a", "alone")]
    for report in reports:
        report.pop("seconds")
    assert len(reports[0].pop("request_sha256")) == 64
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


BROKEN = """image,clicks,modality
a/ct.nii.gz,9 13 4,
no.nii.gz,1 1 1,
b/ct.nii.gz,1 1 x,
b/other.nii.gz,4 9 130,
b/other2.nii.gz,4 9 13,
b/other3.nii.gz,4 9 13,x-ray
"""


def test_another_size_of_answers_is_another_request(batch: Run, home: Path) -> None:
    small = {"network_def": LevelSegmenter()}
    voxels = {}
    for multimask in ("never", "smaller", "larger"):
        batch(TABLE, multimask=multimask, **small)
        _, boxed = json.loads((home / "out/a/ct_report.json").read_text())["objects"]
        voxels[multimask] = boxed["voxels"]
        assert boxed["alternatives"].get("chosen") == {"never": None, "smaller": 0, "larger": 2}[multimask]
    assert voxels["smaller"] < voxels["never"] < voxels["larger"]


def test_broken_rows_are_told_and_the_others_done(batch: Run, home: Path) -> None:
    (home / "b/other2.nii.gz").write_bytes(b"no image")
    (home / "b/other3.nii.gz").symlink_to(home / "b/other.nii.gz")
    with pytest.raises(RuntimeError) as caught:
        batch(BROKEN)
    assert str(status(caught)).startswith("5 of 6 images failed, see ")
    failed = table_of(home / "out/failed.csv")
    assert [row["row"] for row in failed] == ["2", "3", "4", "5", "6"]
    told = [
        "no such file",
        "row 3: clicks '1 1 x' are no numbers",
        "lies outside the volume",
        "other2",
        "must be one of",
    ]
    for row, reason in zip(failed, told, strict=True):
        assert reason in row["reason"]
    assert [row["image"] for row in table_of(home / "out/summary.csv")] == ["a/ct.nii.gz"]

    # mended, the run goes on
    batch("image,clicks\na/ct.nii.gz,9 13 4\nb/ct.nii.gz,4 9 13\n")
    assert not (home / "out/failed.csv").exists()
    assert len(table_of(home / "out/summary.csv")) == 2


def test_a_failure_while_segmenting_does_not_stop_the_others(batch: Run, home: Path) -> None:
    class Fails(CountingGrower):
        def encode(self, image: torch.Tensor) -> ImageEmbedding:
            embedding = super().encode(image)
            if CountingGrower.count == 2:
                raise MemoryError("too large")
            return embedding

    table = "image,clicks\na/ct.nii.gz,9 13 4\nb/ct.nii.gz,4 9 13\nb/other.nii.gz,4 9 13\n"
    with pytest.raises(RuntimeError) as caught:
        batch(table, network_def=Fails())
    assert "1 of 3 images failed" in str(status(caught))
    (failed,) = table_of(home / "out/failed.csv")
    assert failed == {"row": "2", "image": "b/ct.nii.gz", "object": "1", "reason": "MemoryError: too large"}
    assert [row["image"] for row in table_of(home / "out/summary.csv")] == ["a/ct.nii.gz", "b/other.nii.gz"]


def test_a_run_may_stop_at_the_first_fault(batch: Run, home: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        batch(BROKEN, on_fault="raise")
    assert str(root_of(caught.value)).startswith("row 2, image no.nii.gz: image ")
    assert [row["row"] for row in table_of(home / "out/failed.csv")] == ["2"]
    assert set(outputs(home / "out")) == {"a/ct_segmentation.nii.gz", "a/ct_overlay.png"}


def test_any_sharding_gives_the_same(batch: Run, home: Path) -> None:
    batch(TABLE, "whole")
    for shard in ("2/2", "1/2"):
        batch(TABLE, "shared", shard=shard)
    assert outputs(home / "shared") == outputs(home / "whole")
    tables = [table_of(home / folder / "summary.csv") for folder in ("shared", "whole")]
    for row in (*tables[0], *tables[1]):
        row.pop("seconds")
    assert tables[0] == tables[1]


def test_an_empty_object_is_a_failure_if_so_wanted(batch: Run, home: Path) -> None:
    class FindsNothing(CountingGrower):
        def predict_masks(self, embedding: ImageEmbedding, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
            logits, scores = super().predict_masks(embedding, prompts)
            return logits - 9.0, scores

    table = "image,clicks\na/ct.nii.gz,9 13 4\n"
    batch(table, network_def=FindsNothing())
    assert [row["ml"] for row in table_of(home / "out/summary.csv")] == ["0.0"]
    for _ in range(2):  # also when it was done before
        with pytest.raises(RuntimeError) as caught:
            batch(table, network_def=FindsNothing(), on_empty="fail")
        assert "nothing was found for object 1." in str(status(caught))


def test_a_modality_of_a_row_goes_before_that_of_the_run(batch: Run, home: Path) -> None:
    batch("image,clicks,modality\na/ct.nii.gz,9 13 4,ct\nb/ct.nii.gz,4 9 13,\n", modality="mr")
    reports = [json.loads((home / "out" / place / "ct_report.json").read_text()) for place in "ab"]
    assert [report["intensity"]["modality"] for report in reports] == ["ct", "mr"]


def test_processes_of_torchrun_share_the_images_and_the_last_tells(
    batch: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = TABLE + "no.nii.gz,none,1 1 1,,\n"  # the fourth image
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (1, 0):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("LOCAL_RANK", "0")
        if rank:
            batch(table, "out", "multi_gpu_batch_inference")
            assert [row["image"] for row in table_of(home / "out/summary.csv")] == ["b/ct.nii.gz"]
        else:
            with pytest.raises(RuntimeError) as caught:
                batch(table, "out", "multi_gpu_batch_inference")
            assert str(status(caught)).startswith("1 of 4 images failed")
    batch(TABLE, "whole")
    assert outputs(home / "out") == outputs(home / "whole")


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

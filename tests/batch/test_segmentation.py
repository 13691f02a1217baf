# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Many images one after the other: faults, shards and tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.engines import PrepareBatchExtraInput, SupervisedEvaluator

from monai_synthfm.batch.segmentation import BatchSegmentation, UnfinishedBatchError
from monai_synthfm.data.prompted_volumes import PromptedVolumeDataset
from monai_synthfm.handlers.segmentation_writer import SegmentationWriter
from monai_synthfm.inferers import VolumeInferer
from monai_synthfm.networks.promptable import ImageEmbedding
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.prompt_table import read_prompt_table
from monai_synthfm.transforms import MedSAMIntensityd
from tests.batch.prompted_images import TABLE, CountingGrower, outputs, save_images, status, table_of
from tests.bundles.conftest import voxels as voxels  # a fixture

Run = Callable[..., None]
PROMPTS = ("points", "point_labels", "boxes", "masks", "axis", "slice_range")


@pytest.fixture
def home(tmp_path: Path, voxels: np.ndarray) -> Path:
    save_images(tmp_path, voxels)
    return tmp_path


@pytest.fixture
def batch(home: Path) -> Run:
    """Segment the images of a table below ``home``."""

    def run(table: str, output_dir: str = "out", network: CountingGrower | None = None, **options: Any) -> None:
        (home / "prompts.csv").write_text(table)
        CountingGrower.count = 0
        intensity = MedSAMIntensityd(keys="image", modality_key="modality")
        dataset = PromptedVolumeDataset(read_prompt_table(home / "prompts.csv"), intensity, home)
        evaluator = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=[None],
            network=network or CountingGrower(),
            inferer=VolumeInferer(direction="none"),
            prepare_batch=PrepareBatchExtraInput({name: name for name in PROMPTS}),
            val_handlers=[SegmentationWriter(home / output_dir)],
        )
        BatchSegmentation(dataset, evaluator, home / output_dir, progress=False, **options).run()

    return run


BROKEN = """image,clicks,modality
a/ct.nii.gz,9 13 4,
no.nii.gz,1 1 1,
b/ct.nii.gz,1 1 x,
b/other.nii.gz,4 9 130,
b/other2.nii.gz,4 9 13,
b/other3.nii.gz,4 9 13,x-ray
"""


def test_broken_rows_are_told_and_the_others_done(batch: Run, home: Path) -> None:
    (home / "b/other2.nii.gz").write_bytes(b"no image")
    (home / "b/other3.nii.gz").symlink_to(home / "b/other.nii.gz")
    with pytest.raises(UnfinishedBatchError) as caught:
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
    with pytest.raises(UnfinishedBatchError) as caught:
        batch(table, network=Fails())
    assert "1 of 3 images failed" in str(status(caught))
    (failed,) = table_of(home / "out/failed.csv")
    assert failed == {"row": "2", "image": "b/ct.nii.gz", "object": "1", "reason": "MemoryError: too large"}
    assert [row["image"] for row in table_of(home / "out/summary.csv")] == ["a/ct.nii.gz", "b/other.nii.gz"]


def test_a_run_may_stop_at_the_first_fault(batch: Run, home: Path) -> None:
    with pytest.raises(ValueError, match="row 2, image no") as caught:
        batch(BROKEN, on_fault="raise")
    assert str(caught.value).startswith("row 2, image no.nii.gz: image ")
    assert not isinstance(caught.value, UnfinishedBatchError)
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


def test_records_of_shards_before_there_were_warnings_are_in_the_tables(batch: Run, home: Path) -> None:
    batch(TABLE, shard="1/2")
    for path in (home / "out/records").glob("*.json"):
        record = json.loads(path.read_text())
        del record["warning"]
        path.write_text(json.dumps(record))
    batch(TABLE, shard="2/2")
    found = [(row["image"], row["warning"]) for row in table_of(home / "out/summary.csv")]
    assert found == [(image, "") for image in ("a/ct.nii.gz", "a/ct.nii.gz", "b/ct.nii.gz", "b/other.nii.gz")]


def test_a_doubtful_object_is_named_in_the_summary(batch: Run, home: Path) -> None:
    class FindsLittle(CountingGrower):
        def predict_masks(self, embedding: ImageEmbedding, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
            logits, scores = super().predict_masks(embedding, prompts)
            logits[..., 1:, :] = -9.0
            logits[..., 0, 0] = 9.0
            return logits, scores

    table = "image,object,clicks\na/ct.nii.gz,liver,9 13 4\n"
    batch(table, network=FindsLittle())
    (row,) = table_of(home / "out/summary.csv")
    assert row["warning"].startswith("liver: ")
    assert row["warning"].endswith("is the click on slice 4 on the object?")
    batch(table.replace("liver", "spleen"), "sound")
    (row,) = table_of(home / "sound/summary.csv")
    assert row["warning"] == ""


def test_an_empty_object_is_a_failure_if_so_wanted(batch: Run, home: Path) -> None:
    class FindsNothing(CountingGrower):
        def predict_masks(self, embedding: ImageEmbedding, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
            logits, scores = super().predict_masks(embedding, prompts)
            return logits - 9.0, scores

    table = "image,clicks\na/ct.nii.gz,9 13 4\n"
    batch(table, network=FindsNothing())
    assert [row["ml"] for row in table_of(home / "out/summary.csv")] == ["0.0"]
    for _ in range(2):  # also when it was done before
        with pytest.raises(UnfinishedBatchError) as caught:
            batch(table, network=FindsNothing(), on_empty="fail")
        assert "nothing was found for object 1." in str(status(caught))


def test_what_was_done_before_is_left_and_counts_in_the_tables(batch: Run, home: Path) -> None:
    batch(TABLE, shard="1/2")
    assert [row["image"] for row in table_of(home / "out/summary.csv")] == ["a/ct.nii.gz"] * 2 + ["b/other.nii.gz"]
    before = outputs(home / "out")
    batch(TABLE)
    assert CountingGrower.count == 1  # the slice of the one click on the image that was left
    after = outputs(home / "out")
    assert {name: after[name] for name in before} == before
    assert len(table_of(home / "out/summary.csv")) == 4


def test_a_wrong_word_is_refused_before_anything_is_written(batch: Run, home: Path) -> None:
    with pytest.raises(ValueError, match="on_fault must be one of skip, raise, got 'stop'"):
        batch(TABLE, on_fault="stop")
    assert not outputs(home / "out")

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Counts of a run that has not begun, worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from monai_synthfm.data.case_preprocessing import MedSAMPreprocessing
from monai_synthfm.data.case_slices import CutIntoSlices
from monai_synthfm.data.datasets import FolderDataset
from monai_synthfm.data.datasets.case import Case
from monai_synthfm.evaluation.dry_run import DryRun, dry_run
from monai_synthfm.evaluation.figures import Example
from monai_synthfm.evaluation.predictors import Model
from monai_synthfm.evaluation.protocol import EvaluationProtocol
from monai_synthfm.evaluation.slice_protocol import SliceProtocol
from tests.evaluation.stand_ins import Pictures

COUNTS = {
    ("pictures", "case0"): {"small": (0, 0)},
    ("pictures", "case1"): {"large": (2, 3)},
    ("pictures", "case2"): {"large": (1, 1), "small": (4, 39)},
    ("others", "case0"): {"large": (7, 7)},
}


@dataclass
class Ready:
    case: dict[str, str]
    skipped: list[dict[str, Any]] = field(default_factory=list)


class Planned(EvaluationProtocol):
    """What each case holds stands in ``COUNTS``."""

    answers = 5

    def describe(self) -> dict[str, Any]:
        return {}

    def prepare(self, sample: Case) -> Ready:
        absent = {"dataset": sample["dataset"], "structure": "small", "code": "absent", "message": "not in this case"}
        skipped = [absent] * (sample["case_id"] == "case2")
        return Ready({"dataset": sample["dataset"], "case_id": sample["case_id"]}, skipped)

    def rows(self, model: Model, prepared: Ready) -> list[dict[str, Any]]:
        raise AssertionError("a dry run evaluates nothing")

    def example(self, model: Model, prepared: Ready, row: Mapping[str, Any]) -> Example | None:
        raise AssertionError("a dry run evaluates nothing")

    def count(self, prepared: Ready) -> Mapping[str, tuple[int, int]]:
        return COUNTS[prepared.case["dataset"], prepared.case["case_id"]]


class Idle(Model):
    def describe(self) -> dict[str, Any]:
        raise AssertionError("a dry run asks models nothing")


def datasets(**options: Any) -> list[Pictures]:
    return [Pictures(3, **options), Pictures(1, "others")]


def test_structures_are_counted_by_dataset() -> None:
    found = dry_run(datasets(), [Idle("a"), Idle("b")], Planned())
    expected = pd.DataFrame(
        [
            ("pictures", "small", 2, 4, 39, 390),
            ("pictures", "large", 2, 3, 4, 40),
            ("others", "large", 1, 7, 7, 70),
        ],
        columns=["dataset", "structure", "cases", "slices", "masks", "rows"],
    )
    pd.testing.assert_frame_equal(found.counts, expected)


def test_with_all_cases_broken_nothing_is_counted() -> None:
    found = dry_run([Pictures(1, broken=("case0",))], [Idle("a")], Planned(), on_fault="skip")
    assert list(found.counts) == ["dataset", "structure", "cases", "slices", "masks", "rows"]
    assert len(found.counts) == 0
    assert found.skipped.to_numpy().tolist() == [["pictures", "", "cut short", 1]]
    assert str(found).startswith("0 masks, 0 rows; left out: 1 records\n")


def test_a_broken_case_is_named_or_left_out_of_counts() -> None:
    broken = datasets(broken=("case1",))
    with pytest.raises(ValueError, match=r"pictures case1: unreadable: 1\.png: cut short"):
        dry_run(broken, [], Planned())
    found = dry_run(broken, [Idle("a")], Planned(), on_fault="skip")
    assert found.counts.masks.sum() == 47
    # the broken one, and what the protocol left out of case2
    assert found.skipped.to_numpy().tolist() == [
        ["pictures", "", "cut short", 1],
        ["pictures", "small", "not in this case", 1],
    ]


def test_the_words_add_up_masks_and_rows() -> None:
    counts = pd.DataFrame({"dataset": ["chaos", "amos"], "masks": [3, 4], "rows": [12, 16]})
    skipped = pd.DataFrame({"structure": ["liver"], "reason": ["not in this case"], "records": [4]})
    *_, total, heading, row = str(DryRun(counts, skipped)).splitlines()
    assert total == "7 masks, 28 rows; left out: 4 records"
    assert (heading.split(), row.split()) == (
        ["structure", "reason", "records"],
        ["liver", *["not", "in", "this", "case", "4"]],
    )


def test_structures_that_are_too_small_are_named_with_their_limit_and_largest_size(tmp_path: Path) -> None:
    for k, side in enumerate((5, 6)):
        label = np.zeros((20, 20, 4), np.uint8)
        label[:12, :12] = 1
        label[14 : 14 + side, 14:20, 2] = 2
        for folder, values in (("images", 100.0 * label + np.eye(20)[..., None]), ("labels", label)):
            (tmp_path / folder).mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / folder / f"{k}.nii.gz")
    data = FolderDataset(tmp_path, structures={"liver": 1, "node": 2}, modality="mr")
    slicer = CutIntoSlices(MedSAMPreprocessing(min_voxels=0, min_pixels=50))
    found = dry_run([data], [Idle("a")], SliceProtocol(slicer))
    reason = "too small (min_pixels 50: largest slice has 36)"
    assert found.skipped.to_numpy().tolist() == [["folder", "node", reason, 2]]
    assert reason in str(found)

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Training samples from labelled cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.transforms import RandFlip, Randomizable

from monai_synthfm.data.case_slices import CaseSlices, CutIntoSlices, EvaluationSlice, Target
from monai_synthfm.data.datasets.case import Case
from monai_synthfm.data.labelled_slices import LabelledSlices, LoadSlices, split_by_patient
from monai_synthfm.io.faults import FaultError
from tests.evaluation.stand_ins import Pictures


def case(name: str, slices: int) -> CaseSlices:
    masks = np.zeros((2, 8, 8), dtype=bool)
    masks[0, 1:4, 1:4], masks[1, 5:7, 5:7] = True, True
    targets = [Target("a", 0, masks[0]), Target("b", 0, masks[1])]
    image = np.arange(64, dtype=np.float32).reshape(1, 8, 8) / 64
    return CaseSlices({"case_id": name}, [EvaluationSlice(k, image + k, None, targets) for k in range(slices)])


class _Flip(Randomizable):
    def __init__(self) -> None:
        self.flip = RandFlip(prob=0.5)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> _Flip:
        self.flip.set_random_state(seed, state)
        return self

    def __call__(self, sample: dict) -> dict:
        return {**sample, "image": self.flip(sample["image"])}


def test_a_sample_depends_on_seed_epoch_and_index_alone() -> None:
    def images(seed: int, epoch: int, order: list[int]) -> dict[int, torch.Tensor]:
        dataset = LabelledSlices([case("x", 9), case("y", 9)], 3, seed, _Flip())
        dataset.set_epoch(epoch)
        return {k: dataset[k]["image"] for k in order}

    first, second = images(0, 1, [0, 1, 2, 3, 4, 5]), images(0, 1, [5, 3, 1, 0, 2, 4])
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert any(not torch.equal(first[k], other) for k, other in images(0, 2, list(first)).items())
    assert any(not torch.equal(first[k], other) for k, other in images(1, 1, list(first)).items())


def test_a_case_is_read_once_for_samples_that_follow_each_other() -> None:
    class Reading(list):
        def __getitem__(self, index: int) -> CaseSlices:
            read.append(index)
            return super().__getitem__(index)

    read: list[int] = []
    dataset = LabelledSlices(Reading([case("x", 2), case("y", 2)]), samples_per_case=3)
    for k in range(len(dataset)):
        dataset[k]
    assert read == [0, 1]


def test_targets_become_instances() -> None:
    label = LabelledSlices([case("x", 1)])[0]["label"]
    assert label.shape == (1, 8, 8)
    assert torch.bincount(label.flatten()).tolist() == [51, 9, 4]


def test_cases_without_slices_are_replaced_by_the_next() -> None:
    dataset = LabelledSlices([case("x", 0), case("y", 2)])
    assert len(dataset) == 2
    assert dataset[0]["image"].shape == (1, 8, 8)
    with pytest.raises(ValueError, match="none of the 1 cases"):
        LabelledSlices([case("x", 0)])[0]


def test_cases_that_cannot_be_read_are_told_and_passed_by(caplog: pytest.LogCaptureFixture) -> None:
    dataset = Pictures(3, broken=("case0",))
    slicer = CutIntoSlices()
    with pytest.raises(FaultError, match=r"unreadable: .*0\.png: cut short"):
        LoadSlices(dataset, slicer)(dataset.data[0])
    load = LoadSlices(dataset, slicer, "skip")
    cases = [load(case) for case in dataset.data]
    assert [len(case.slices) for case in cases] == [0, 1, 1]
    assert caplog.messages == ["Left out: pictures case0: unreadable: 0.png: cut short"]
    samples = LabelledSlices(cases)
    np.testing.assert_array_equal(samples[0]["image"], cases[1].slices[0].image)
    with pytest.raises(ValueError, match="on_fault must be 'raise' or 'skip', got 'ignore'"):
        LoadSlices(dataset, slicer, "ignore")


def test_wrong_arguments_are_named() -> None:
    for wrong, name in (({"samples_per_case": 0}, "samples_per_case"), ({"seed": -1}, "seed")):
        with pytest.raises(ValueError, match=name):
            LabelledSlices([case("x", 1)], **wrong)
    with pytest.raises(ValueError, match="cases"):
        LabelledSlices([])
    with pytest.raises(IndexError):
        LabelledSlices([case("x", 1)])[1]


@given(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=30), st.floats(0.05, 0.95))
def test_no_patient_is_in_both_parts_and_no_case_is_lost(patients: list[str], fraction: float) -> None:
    rest = {"dataset": "d", "modality": "us", "split": "all", "image": "", "label": "", "structures": {}}
    cases = [Case(case_id=str(k), patient_id=name, **rest) for k, name in enumerate(patients)]
    if len(set(patients)) < 2:
        with pytest.raises(ValueError, match="patients"):
            split_by_patient(cases, fraction)
        return
    first, second = split_by_patient(cases, fraction)
    assert {c["patient_id"] for c in first}.isdisjoint(c["patient_id"] for c in second)
    assert sorted(c["case_id"] for c in first + second) == sorted(c["case_id"] for c in cases)
    assert first
    assert second

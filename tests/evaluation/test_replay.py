# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which model, dataset and case a row is made again from, and how often a case is loaded for it."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from monai_synthfm.data.case_slices import CaseSlices
from monai_synthfm.data.datasets.case import Case
from monai_synthfm.evaluation.figures import Example
from monai_synthfm.evaluation.predictors import Model
from monai_synthfm.evaluation.replay import RowReplay
from monai_synthfm.evaluation.slice_protocol import SliceProtocol
from monai_synthfm.io.faults import FaultError
from monai_synthfm.prompts import Prompts
from tests.evaluation.stand_ins import Counting, Pictures


class Witness(SliceProtocol):
    """Remembers which cases were made ready, and who answered on what."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "prepared", Counter())
        object.__setattr__(self, "alive", weakref.WeakSet())
        object.__setattr__(self, "answered", [])

    def prepare(self, sample: Case) -> Any:
        prepared = Ready(super().prepare(sample))
        self.prepared[sample["dataset"], sample["case_id"]] += 1
        self.alive.add(prepared)
        return prepared

    def example(self, model: Model, prepared: Any, row: Mapping[str, Any]) -> Example | None:
        case = prepared.sliced.case
        self.answered.append((model.name, case["dataset"], case["case_id"]))
        if row["structure"] == "none":
            return None
        nothing = np.zeros((1, 1), bool)
        return Example(prepared.sliced.slices[0].image[0], nothing, nothing, Prompts())


class Ready:
    def __init__(self, sliced: CaseSlices) -> None:
        self.sliced = sliced


def row(model: str, dataset: str, case_id: str, structure: str = "large") -> dict[str, str]:
    return {"model": model, "dataset": dataset, "case_id": case_id, "structure": structure}


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def replay(witness: Witness) -> RowReplay:
    datasets = [Pictures(12), Pictures(2, "others"), Pictures(2, "torn", broken=("case0",))]
    return RowReplay(datasets, [Counting("discs"), Counting("second")], witness)


def test_cases_of_one_name_in_two_datasets_are_told_apart(replay: RowReplay, witness: Witness) -> None:
    asked = [("discs", "others", "case1"), ("second", "pictures", "case1"), ("discs", "pictures", "case1")]
    for names in asked:
        replay(row(*names))
    assert witness.answered == asked
    assert witness.prepared == {("others", "case1"): 1, ("pictures", "case1"): 1}


def test_rows_of_one_case_load_it_once_whichever_model_answers(replay: RowReplay, witness: Witness) -> None:
    images = [replay(row(model, "pictures", "case3")).image for model in ("discs", "second", "discs")]
    assert witness.prepared == {("pictures", "case3"): 1}
    assert np.shares_memory(images[0], images[2])


def test_of_many_cases_only_the_latest_few_are_kept(replay: RowReplay, witness: Witness) -> None:
    for number in range(12):
        replay(row("discs", "pictures", f"case{number}"))
    gc.collect()
    assert 1 <= len(witness.alive) <= 4
    replay(row("discs", "pictures", "case11"))
    assert witness.prepared["pictures", "case11"] == 1


def test_a_row_that_the_case_lacks_is_named(replay: RowReplay) -> None:
    with pytest.raises(ValueError, match=r"the run has no row \{'model': 'discs'.*'structure': 'none'\}"):
        replay(row("discs", "pictures", "case0", "none"))


@pytest.mark.parametrize(
    "names", [("none", "pictures", "case0"), ("discs", "none", "case0"), ("discs", "pictures", "none")]
)
def test_a_row_of_a_model_dataset_or_case_that_is_not_there_is_named(
    replay: RowReplay, names: tuple[str, str, str]
) -> None:
    with pytest.raises(ValueError, match=r"the run has no row .*'none'"):
        replay(row(*names))


def test_a_broken_case_says_so_each_time(replay: RowReplay) -> None:
    for _ in range(2):
        with pytest.raises(FaultError, match=r"unreadable: 0\.png: cut short"):
            replay(row("discs", "torn", "case0"))
    assert replay(row("discs", "torn", "case1")).image.shape == (48, 64)

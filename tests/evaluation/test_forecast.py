# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Counts and times of a run that has not begun, worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pytest

from monai_synthfm.data.datasets.case import Case
from monai_synthfm.evaluation.figures import Example
from monai_synthfm.evaluation.forecast import Forecast, forecast
from monai_synthfm.evaluation.predictors import Model
from monai_synthfm.evaluation.protocol import Effort, EvaluationProtocol
from tests.evaluation.stand_ins import Pictures

EFFORTS = {
    ("pictures", "case0"): Effort(2, 0, {"small": (0, 0)}),
    ("pictures", "case1"): Effort(10, 3, {"large": (2, 3)}),
    ("pictures", "case2"): Effort(20, 40, {"large": (1, 1), "small": (4, 39)}),
    ("others", "case0"): Effort(100, 7, {"large": (7, 7)}),
}


@dataclass
class Ready:
    case: dict[str, str]
    skipped: list[dict[str, Any]] = field(default_factory=list)


class Planned(EvaluationProtocol[Any, Ready]):
    """What each case asks for stands in ``EFFORTS``; a model takes as long as its name says."""

    def __init__(self) -> None:
        self.measured: list[tuple[str, str]] = []

    def describe(self) -> dict[str, Any]:
        return {}

    def prepare(self, sample: Case) -> Ready:
        skipped = [{"code": "absent"}] * (sample["case_id"] == "case2")
        return Ready({"dataset": sample["dataset"], "case_id": sample["case_id"]}, skipped)

    def rows(self, model: Model, prepared: Ready) -> list[dict[str, Any]]:
        raise AssertionError("a forecast evaluates nothing")

    def example(self, model: Model, prepared: Ready, row: Mapping[str, Any]) -> Example | None:
        raise AssertionError("a forecast evaluates nothing")

    def effort(self, prepared: Ready) -> Effort:
        return EFFORTS[prepared.case["dataset"], prepared.case["case_id"]]

    def seconds(self, model: Model, prepared: Ready) -> tuple[float, float]:
        self.measured.append((model.name, prepared.case["case_id"]))
        encoding, decoding = model.name.split("/")
        return float(encoding), float(decoding)


class Held(Model):
    """A model that knows whether it was given back."""

    released = 0

    def describe(self) -> dict[str, Any]:
        return {}

    def release(self) -> None:
        self.released += 1


def datasets(**options: Any) -> list[Pictures]:
    return [Pictures(3, **options), Pictures(1, "others")]


def test_structures_are_counted_by_dataset() -> None:
    found = forecast(datasets(), [], Planned())
    expected = pd.DataFrame(
        [
            ("pictures", "small", 2, 4, 39),
            ("pictures", "large", 2, 3, 4),
            ("others", "large", 1, 7, 7),
        ],
        columns=["dataset", "structure", "cases", "slices", "targets"],
    )
    keys = ["dataset", "structure"]
    frames = (frame.set_index(keys).sort_index() for frame in (found.counts, expected))
    pd.testing.assert_frame_equal(*frames)
    assert found.slices == {"pictures": 32, "others": 100}


def test_time_is_that_of_all_slices_and_of_all_decodings() -> None:
    found = forecast(datasets(), [Held("0.5/2"), Held("3/0")], Planned())
    assert found.seconds == {"0.5/2": 132 * 0.5 + 50 * 2, "3/0": 132 * 3}


def test_models_are_timed_on_the_first_case_that_has_something_to_decode_and_given_back() -> None:
    protocol, models = Planned(), [Held("1/1"), Held("2/2")]
    forecast(datasets(), models, protocol)
    assert protocol.measured == [("1/1", "case1"), ("2/2", "case1")]
    assert [model.released for model in models] == [1, 1]


def test_without_a_target_no_model_is_touched() -> None:
    protocol, model = Planned(), Held("1/1")
    found = forecast([Pictures(1)], [model], protocol)
    assert (found.seconds, protocol.measured, model.released) == ({}, [], 0)


def test_with_all_cases_broken_nothing_is_counted() -> None:
    found = forecast([Pictures(1, broken=("case0",))], [Held("1/1")], Planned(), on_fault="skip")
    assert list(found.counts) == ["dataset", "structure", "cases", "slices", "targets"]
    assert (len(found.counts), found.seconds, found.skipped) == (0, {}, 1)


def test_a_broken_case_is_named_or_left_out_of_counts_and_times() -> None:
    broken = datasets(broken=("case1",))
    with pytest.raises(ValueError, match=r"pictures case1: unreadable: 1\.png: cut short"):
        forecast(broken, [], Planned())
    protocol = Planned()
    found = forecast(broken, [Held("1/10")], protocol, on_fault="skip")
    assert found.slices == {"pictures": 22, "others": 100}
    assert found.seconds == {"1/10": 122 + 10 * 47}
    assert protocol.measured == [("1/10", "case2")]
    # the broken one, and what the protocol left out of case2
    assert found.skipped == forecast(datasets(), [], Planned()).skipped + 1 == 2


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ({"sam": 59.4}, "0 h 00 min (sam 59 s)"),
        ({"sam": 3599.6}, "1 h 00 min (sam 3600 s)"),
        ({"sam": 1800.0, "medsam": 5670.0}, "2 h 04 min (sam 1800 s, medsam 5670 s)"),
        ({"sam": 100 * 3600.0}, "100 h 00 min"),
    ],
)
def test_the_words_add_up_the_times_of_all_models(seconds: dict[str, float], words: str) -> None:
    told = str(Forecast(pd.DataFrame({"dataset": ["chaos"], "cases": [3]}), {"chaos": 12}, seconds, 4))
    assert words in told
    assert "chaos 12" in told
    assert "left out: 4 records" in told

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monai_synthfm.evaluation.left_out import left_out, left_out_words

RECORDS: list[dict[str, Any]] = [
    {"dataset": "mine", "structure": "node", "code": "too_small", "message": "has 12 pixels", "slice_largest": 12},
    {"dataset": "mine", "structure": "node", "code": "too_small", "message": "has 37 pixels", "slice_largest": 37},
    {"dataset": "mine", "structure": "node", "code": "absent", "message": "not in this case"},
    {"dataset": "mine", "code": "unreadable", "message": "no header"},
    {"dataset": "other", "structure": "node", "code": "too_small", "message": "has 5 voxels", "largest": 5},
    {"dataset": "other", "structure": "node", "code": "excluded"},
]


def test_records_are_counted_by_reason_and_named_by_the_object_nearest_to_the_limit() -> None:
    assert left_out(RECORDS).to_numpy().tolist() == [
        ["mine", "node", "has 37 pixels", 2],
        ["mine", "node", "not in this case", 1],
        ["mine", "", "no header", 1],
        ["other", "node", "has 5 voxels", 1],
        ["other", "node", "excluded", 1],
    ]


@given(st.lists(st.sampled_from(RECORDS)))
def test_every_record_is_counted_once(records: list[dict[str, Any]]) -> None:
    assert left_out(records).records.sum() == len(records)


def test_words_name_structure_dataset_reason_and_count() -> None:
    assert left_out_words(RECORDS[:4]) == (
        "node of mine: has 37 pixels, 2 x; node of mine: not in this case, 1 x; mine: no header, 1 x"
    )
    assert left_out_words([]) == ""

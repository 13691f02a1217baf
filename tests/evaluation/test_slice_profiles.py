# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The slices behind rows of volumes, and the curve over their distance from the prompted one."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monai_synthfm.evaluation.results_table import IDENTITY, VOLUME_COLUMNS, make_rows
from monai_synthfm.evaluation.slice_profiles import (
    SLICE_COLUMNS,
    distance_curve,
    make_slices,
    merge_slices,
    profile,
    read_slices,
    write_slices,
)
from tests.evaluation.made_rows import row

_PAIRS = st.tuples(*3 * [st.integers(1, 5)]).flatmap(lambda size: st.tuples(arrays(bool, size), arrays(bool, size)))


@given(_PAIRS, st.integers(0, 2), st.integers(0, 4))
@settings(max_examples=60)
def test_slices_are_direct_counts(pair: tuple[np.ndarray, np.ndarray], axis: int, prompted: int) -> None:
    found, target = pair
    records = {record["distance"]: record for record in profile(found, target, prompted, axis, (1.5, 2.0, 3.0))}
    for k in range(target.shape[axis]):
        on_slice, true = np.take(found, k, axis), np.take(target, k, axis)
        if not (on_slice | true).any():
            assert k - prompted not in records
            continue
        record = records.pop(k - prompted)
        counts = (int(true.sum()), int(on_slice.sum()), int((true & on_slice).sum()))
        assert (record["area_target"], record["area_pred"], record["intersection"]) == counts
        assert record["distance_mm"] == pytest.approx((k - prompted) * (1.5, 2.0, 3.0)[axis])
    assert not records


def test_frames_have_a_distance_but_no_millimetres() -> None:
    one = np.ones((2, 2, 3), bool)
    assert [r["distance"] for r in profile(one, one, 0)] == [0, 1, 2]
    assert all(math.isnan(r["distance_mm"]) for r in profile(one, one, 0))


def slices_of(scores: dict[int, float], step: float = 1.0, **changes: Any) -> list[dict[str, Any]]:
    """Slices of 100 pixels with these DSC by distance, of one row."""
    identity = {name: value for name, value in row(prompts="box@largest/both", **changes).items() if name in IDENTITY}
    return [
        {
            **identity,
            "distance": k,
            "distance_mm": k * step,
            "area_target": 100,
            "area_pred": 100,
            "intersection": round(100 * dice),
        }
        for k, dice in scores.items()
    ]


def test_the_curve_is_the_mean_over_slices_then_patients_then_structures() -> None:
    rng = np.random.default_rng(0)
    records, by_step = [], defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    steps = [(0, 0), (1, 1), (2, 2), (4, 4), (8, 8)]
    livers = [("liver", f"p{k}") for k in range(1, 6)]
    for structure, patient in (*livers, ("aorta", "p1"), ("aorta", "p6")):
        scores = {k: float(rng.integers(0, 101)) / 100 for k in range(-rng.integers(1, 5), rng.integers(2, 9))}
        records += slices_of(scores, structure=structure, patient_id=patient)
        for k, dice in scores.items():
            reach = next(upper for upper, _ in steps if abs(k) <= upper)
            by_step[reach][structure][patient].append(dice)
    curve = distance_curve(make_slices(records)).set_index("reach")
    assert set(curve.index) == set(by_step)
    for reach, structures in by_step.items():
        means = [np.mean([np.mean(found) for found in patients.values()]) for patients in structures.values()]
        assert curve["mean"][reach] == pytest.approx(np.mean(means))
        few = len({patient for patients in structures.values() for patient in patients}) < 5
        assert np.isnan(curve.ci_low[reach]) == few
        assert few or curve.ci_low[reach] <= curve["mean"][reach] <= curve.ci_high[reach]
        assert curve.n_patients[reach] == len({p for patients in structures.values() for p in patients})


def test_steps_in_millimetres_reach_up_to_their_end() -> None:
    records = slices_of({0: 1.0, 1: 0.9, 2: 0.8, 4: 0.7, -4: 0.5, 5: 0.1}, step=2.5000000001)
    curve = distance_curve(make_slices(records), "mm")
    assert dict(zip(curve.reach, curve["mean"].round(6), strict=True)) == {0: 1.0, 5: 0.85, 10: 0.6, 20: 0.1}


def test_slices_beyond_the_target_and_those_without_millimetres_are_no_part_of_the_curve() -> None:
    records = slices_of({0: 1.0, 1: 0.5})
    records[1] |= {"area_target": 0, "intersection": 0}
    assert distance_curve(make_slices(records)).reach.tolist() == [0.0]
    assert distance_curve(make_slices(slices_of({0: 1.0}, step=math.nan)), "mm").empty


def rows_of(*patients: str) -> pd.DataFrame:
    scores = dict.fromkeys(VOLUME_COLUMNS, 0.5)
    return make_rows([row(prompts="box@largest/both", patient_id=patient, **scores) for patient in patients])


@given(st.permutations("abc"))
@settings(max_examples=6)
def test_the_merged_table_is_the_same_for_any_order_of_pieces(
    tmp_path_factory: pytest.TempPathFactory, order: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    for patient in order:
        write_slices(folder, f"sam/{patient}", slices_of({1: 0.5, 0: 0.25}, patient_id=patient))
    names = [f"sam/{patient}" for patient in order]
    merge_slices(folder, [*names, "sam/without any target"], rows_of("a", "b", "c"))
    table = read_slices(folder)
    assert list(table.columns) == list(SLICE_COLUMNS)
    assert list(zip(table.patient_id, table.distance, strict=True)) == [(p, k) for p in "abc" for k in (0, 1)]


@pytest.mark.parametrize("patients", [("a",), ("a", "b", "c")])
def test_rows_without_slices_and_slices_without_rows_are_refused(tmp_path: Path, patients: tuple[str, ...]) -> None:
    for patient in "ab":
        write_slices(tmp_path, patient, slices_of({0: 0.5}, patient_id=patient))
    with pytest.raises(ValueError, match="1 rows of whole volumes and their slices do not belong together"):
        merge_slices(tmp_path, "ab", rows_of(*patients))
    assert not (tmp_path / "slices.parquet").exists()


def test_runs_over_slices_have_no_such_table(tmp_path: Path) -> None:
    write_slices(tmp_path, "a", [])
    merge_slices(tmp_path, ["a"], make_rows([row()]))
    assert not list(tmp_path.iterdir())
    assert read_slices(tmp_path).empty


def test_a_slice_that_occurs_twice_and_columns_of_another_table_are_refused() -> None:
    with pytest.raises(ValueError, match="1 slices occur twice"):
        make_slices(slices_of({0: 0.5}) * 2)
    with pytest.raises(ValueError, match="slices must have the columns"):
        make_slices([row()])

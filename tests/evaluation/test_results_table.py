# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The table of rows: its order, its checks, and shards that leave no trace."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.evaluation.metrics import MaskScores
from monai_synthfm.evaluation.results_table import (
    COLUMNS,
    IDENTITY,
    VOLUME_COLUMNS,
    finished_shards,
    make_rows,
    merge_shards,
    read_rows,
    volume_rows,
    write_shard,
)
from monai_synthfm.evaluation.volume_metrics import VolumeScores
from tests.evaluation.made_rows import random_rows, row

_FILES = ("rows.parquet", "rows.csv", "timings.parquet")


def merged_files(folder: Path, shards: dict[str, pd.DataFrame], order: list[str]) -> dict[str, bytes]:
    """The files of a run that wrote its shards in this order."""
    for name in order:
        write_shard(folder, name, shards[name])
    merge_shards(folder, order)
    return {name: (folder / name).read_bytes() for name in _FILES}


def test_scores_of_a_mask_are_columns() -> None:
    assert set(MaskScores.__dataclass_fields__) <= set(COLUMNS)
    assert set(VolumeScores.__dataclass_fields__) - set(MaskScores.__dataclass_fields__) == set(VOLUME_COLUMNS)


@given(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_rows_stand_in_one_order_whatever_the_order_of_records(random: object) -> None:
    table = random_rows(patients=2, slices=2)
    records = table.to_dict("records")
    random.shuffle(records)  # type: ignore[attr-defined]
    pd.testing.assert_frame_equal(make_rows(records), table)
    identities = [tuple(record[name] for name in IDENTITY) for record in table.to_dict("records")]
    assert identities == sorted(identities)


def test_columns_have_the_types_of_the_contract() -> None:
    table = make_rows([row(patient_id=7, slice_index=3.0, dsc=1)])
    assert list(table.columns) == list(COLUMNS)
    assert {name: str(table[name].dtype) for name in ("slice_index", "dsc", "empty_pred")} == {
        "slice_index": "int64",
        "dsc": "float64",
        "empty_pred": "bool",
    }
    assert table.patient_id.tolist() == ["7"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dsc": 1.2}, r"dsc must lie in \[0, 1\]; wrong in 1 rows, such as .*'sam', 'chaos_ct'"),
        ({"dsc": math.nan}, r"columns \['dsc'\] have missing values"),
        ({"model": None}, r"columns \['model'\] have missing values"),
        ({"nsd": -0.1}, "nsd must lie"),
        ({"nsd": math.nan}, "exactly where spacing_known"),
        ({"spacing_known": False}, "exactly where spacing_known"),
        ({"hd95": math.inf}, "hd95 must be finite"),
        ({"intersection": 1001}, "intersection must lie"),
        ({"empty_pred": True}, "empty_pred must be true exactly"),
        ({"slice_index": -2}, "slice_index"),
        ({"instance": -1}, "instance"),
        ({"colour": "red"}, r"unknown columns \['colour'\]"),
    ],
)
def test_values_that_no_mask_can_have_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_rows([{**row(), **change}])


def test_rows_of_volumes_and_of_slices_stand_in_one_table(tmp_path: Path) -> None:
    of_volume = row(prompts="box@largest/both", **dict.fromkeys(VOLUME_COLUMNS, 0.5))
    write_shard(tmp_path, "slices", [row()])
    write_shard(tmp_path, "volumes", [of_volume])
    table = merge_shards(tmp_path, ["slices", "volumes"])
    assert volume_rows(table).tolist() == [False, True]
    assert table.dsc_slices.tolist() == [pytest.approx(math.nan, nan_ok=True), 0.5]
    pd.testing.assert_frame_equal(table, read_rows(tmp_path))
    assert not volume_rows(make_rows([row()])).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dsc_slices": math.nan}, "must be numbers for volumes and NaN for slices"),
        ({"dsc_prompted": 1.5}, r"must lie in \[0, 1\]"),
        ({"over_propagation": -0.1}, "over_propagation must not be negative"),
    ],
)
def test_values_that_no_volume_can_have_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_rows([row(**{**dict.fromkeys(VOLUME_COLUMNS, 0.5), **change})])


def test_volumes_need_all_columns_of_volumes() -> None:
    with pytest.raises(ValueError, match="rows lack columns"):
        make_rows([row(dsc_slices=0.5)])


def test_missing_columns_are_named() -> None:
    record = row()
    del record["area_pred"]
    with pytest.raises(ValueError, match=r"lack columns \['area_pred'\]"):
        make_rows([record])


def test_two_rows_of_one_identity_are_refused() -> None:
    with pytest.raises(ValueError, match="1 rows occur twice"):
        make_rows([row(dsc=0.5), row(dsc=0.6)])


def test_nsd_may_be_missing_where_the_spacing_is_not_known() -> None:
    assert make_rows([row(nsd=math.nan, spacing_known=False)]).nsd.isna().all()


@given(order=st.permutations(["a", "b", "c", "d"]), cuts=st.lists(st.integers(0, 24), min_size=3, max_size=3))
@settings(max_examples=15)
def test_merged_files_are_the_same_bytes_for_any_sharding_and_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], cuts: list[int]
) -> None:
    table = random_rows(patients=2, slices=3)
    ends = [0, *sorted(cuts), len(table)]
    shards = {name: table.iloc[ends[n] : ends[n + 1]] for n, name in enumerate("abcd")}
    whole = merged_files(tmp_path_factory.mktemp("whole"), {"all": table}, ["all"])
    assert merged_files(tmp_path_factory.mktemp("cut"), shards, order) == whole


def test_a_shard_written_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    write_shard(tmp_path, "a", [row(dsc=0.1)])
    write_shard(tmp_path, "a", [row(dsc=0.9)])
    assert merge_shards(tmp_path, ["a"]).dsc.tolist() == [0.9]


def test_merged_rows_are_read_back_and_have_no_seconds(tmp_path: Path) -> None:
    table = random_rows(patients=2)
    write_shard(tmp_path, "a", table)
    merged = merge_shards(tmp_path, ["a"])
    pd.testing.assert_frame_equal(merged, table.drop(columns="seconds"))
    pd.testing.assert_frame_equal(read_rows(tmp_path), merged)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "rows.csv", dtype=merged.dtypes.to_dict()), merged)
    timings = pd.read_parquet(tmp_path / "timings.parquet")
    assert timings.seconds.tolist() == table.seconds.tolist()


def test_seconds_do_not_change_the_rows(tmp_path: Path) -> None:
    for folder, seconds in ((tmp_path / "slow", 9.0), (tmp_path / "fast", 0.1)):
        write_shard(folder, "a", [row(seconds=seconds)])
        merge_shards(folder, ["a"])
    for name in ("rows.parquet", "rows.csv"):
        assert (tmp_path / "slow" / name).read_bytes() == (tmp_path / "fast" / name).read_bytes()


def test_finished_shards_have_the_names_they_were_given(tmp_path: Path) -> None:
    names = {"sam/chaos_ct/case 1", "sam/chaos_ct/../2", "µ%2F:*?"}
    for n, name in enumerate(sorted(names)):
        write_shard(tmp_path, name, [row(slice_index=n)])
    assert finished_shards(tmp_path) == names
    assert len(merge_shards(tmp_path, names)) == 3
    assert finished_shards(tmp_path / "nothing") == set()


def test_a_shard_without_rows_counts_as_finished(tmp_path: Path) -> None:
    write_shard(tmp_path, "empty", [])
    write_shard(tmp_path, "full", [row()])
    assert finished_shards(tmp_path) == {"empty", "full"}
    assert len(merge_shards(tmp_path, ["empty", "full"])) == 1
    write_shard(tmp_path / "other", "empty", [])
    assert list(merge_shards(tmp_path / "other", ["empty"]).columns) == [c for c in COLUMNS if c != "seconds"]


def test_merging_refuses_a_gap(tmp_path: Path) -> None:
    write_shard(tmp_path, "a", [row()])
    with pytest.raises(ValueError, match=r"1 shards of the run are missing, such as \['b'\]"):
        merge_shards(tmp_path, ["a", "b"])
    assert not (tmp_path / "rows.parquet").exists()


def test_merging_refuses_a_shard_of_another_run(tmp_path: Path) -> None:
    for n, name in enumerate("ab"):
        write_shard(tmp_path, name, [row(slice_index=n)])
    with pytest.raises(ValueError, match=r"do not belong to it, such as \['b'\]"):
        merge_shards(tmp_path, ["a"])


def test_merging_refuses_rows_that_two_shards_have(tmp_path: Path) -> None:
    for name in "ab":
        write_shard(tmp_path, name, [row()])
    with pytest.raises(ValueError, match="1 rows occur twice"):
        merge_shards(tmp_path, ["a", "b"])


def test_merging_refuses_a_name_given_twice(tmp_path: Path) -> None:
    write_shard(tmp_path, "a", [row()])
    with pytest.raises(ValueError, match=r"names of shards occur twice: \['a'\]"):
        merge_shards(tmp_path, ["a", "a"])


def test_a_write_that_fails_midway_leaves_no_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = pd.DataFrame.to_parquet

    def die(self: pd.DataFrame, path: Path, **options: object) -> None:
        write(self, path, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_parquet", die)
    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path, "a", [row()])
    assert finished_shards(tmp_path) == set()


def test_reading_a_run_that_is_not_merged_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="not finished, or its shards are not merged"):
        read_rows(tmp_path)

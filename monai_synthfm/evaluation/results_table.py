# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
The table that every figure of an evaluation comes from: a row for each scored mask, of a slice or of a whole volume.

A run is a list of shards, each a piece of work of its own (say one case with one model), written whole or not at all.
Which process wrote a shard, in which order, and how often the run was killed between, leaves no trace in the merged
table: rows stand in one order, and seconds, the only column that differs from run to run, have a file of their own.

Files of a run: ``shards/<name>.parquet`` while it goes on; ``rows.parquet``, ``rows.csv`` and ``timings.parquet`` once
merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pandas as pd

from monai_synthfm.utils.atomic_files import staged_files

__all__ = [
    "COLUMNS",
    "IDENTITY",
    "VOLUME_COLUMNS",
    "finished_shards",
    "make_rows",
    "merge_shards",
    "read_rows",
    "volume_rows",
    "write_shard",
]

IDENTITY: tuple[str, ...] = (
    "model",
    "dataset",
    "patient_id",
    "case_id",
    "modality",
    "structure",
    "slice_index",
    "instance",
    "prompts",
    "seed",
)
"""Columns that tell rows apart, in the order that rows are sorted by."""

COLUMNS: Mapping[str, str] = {
    **{name: "int64" if name in ("slice_index", "instance", "seed") else "str" for name in IDENTITY},
    "split": "str",
    "dsc": "float64",
    "nsd": "float64",
    "hd95": "float64",
    "area_target": "int64",
    "area_pred": "int64",
    "intersection": "int64",
    "spacing_known": "bool",
    "empty_pred": "bool",
    "seconds": "float64",
}
"""
Columns and their types.

``slice_index``: -1 for pictures, the prompted slice for whole volumes; ``instance``: 0 for the whole mask of a
structure, 1..K for single objects of it; ``prompts``: ``1p0n`` for one positive and no negative click, ``box``,
``interactive-05`` for the fifth click of an interactive run, ``1p0n@largest/both`` for a click on the largest slice of
a volume that is followed both ways; ``seed``: of the clicks; ``split``: official split of the case; scores and areas as
in :class:`~monai_synthfm.evaluation.metrics.MaskScores`; ``seconds``: of the prediction.
"""

VOLUME_COLUMNS: Mapping[str, str] = dict.fromkeys(
    ("dsc_slices", "dsc_prompted", "dsc_unprompted", "dsc_farthest", "over_propagation"), "float64"
)
"""
Further columns of tables that have rows of whole volumes, see
:class:`~monai_synthfm.evaluation.volume_metrics.VolumeScores`; NaN in rows of slices and pictures.
"""

_SHARDS = "shards"
_SUFFIX = ".parquet"
_SHOWN = 3


def make_rows(records: Iterable[Mapping[str, Any]] | pd.DataFrame) -> pd.DataFrame:
    """
    Make a table of rows in the one order of columns and rows, and check it.

    Args:
        records: rows with all of ``COLUMNS``, in any order; ``seconds`` may be missing. Those of whole volumes have
            ``VOLUME_COLUMNS`` as well.

    Raises:
        ValueError: when a column is missing or unknown, a value is missing or out of range, or two rows are of one
            identity.

    Example:
        >>> place = {"dataset": "chaos_ct", "patient_id": "1", "case_id": "1", "modality": "ct", "structure": "liver"}
        >>> done = {"model": "sam", "instance": 0, "prompts": "1p0n", "seed": 0, "split": "training"}
        >>> scores = {"dsc": 0.5, "nsd": 0.5, "hd95": 3.0, "area_target": 100, "area_pred": 100, "intersection": 50}
        >>> flags = {"spacing_known": True, "empty_pred": False}
        >>> rows = make_rows({**place, **done, **scores, **flags, "slice_index": z} for z in (7, 3))
        >>> rows.slice_index.tolist()
        [3, 7]
    """
    table = pd.DataFrame(records if isinstance(records, pd.DataFrame) else list(records))
    types = {**COLUMNS, **VOLUME_COLUMNS} if not VOLUME_COLUMNS.keys().isdisjoint(table.columns) else COLUMNS
    columns = [name for name in types if name != "seconds" or name in table or table.empty]
    if table.empty:
        return pd.DataFrame({name: pd.Series(dtype=COLUMNS[name]) for name in columns})
    missing, unknown = set(columns) - set(table), set(table) - set(columns)
    if missing or unknown:
        raise ValueError(f"rows lack columns {sorted(missing)} and have unknown columns {sorted(unknown)}.")
    table = table[columns]
    gaps = [name for name in columns if name in COLUMNS and name != "nsd" and table[name].isna().any()]
    if gaps:
        raise ValueError(f"columns {gaps} have missing values; only nsd may be missing.")
    table = table.astype({name: types[name] for name in columns})
    _check_values(table)
    twice = table.duplicated(list(IDENTITY))
    if twice.any():
        raise ValueError(f"{int(twice.sum())} rows occur twice, such as {_identities(table[twice])}.")
    return table.sort_values(list(IDENTITY), ignore_index=True)


def write_shard(folder: str | Path, name: str, rows: Iterable[Mapping[str, Any]] | pd.DataFrame) -> None:
    """
    Write the rows of one piece of work, whole or not at all; an earlier shard of this name is replaced.

    Args:
        folder: of the run; created when missing.
        name: of the piece of work, such as ``mobile_sam/chaos_ct/case7``; any text.
        rows: as for :func:`make_rows`; none at all is a result, too.

    Raises:
        ValueError: as :func:`make_rows`.
    """
    table = make_rows(rows)
    with staged_files(Path(folder) / _SHARDS) as stage:
        table.to_parquet(stage / f"{quote(name, safe='')}{_SUFFIX}", index=False)


def finished_shards(folder: str | Path) -> set[str]:
    """Return the names of the shards that are written, so that a run can leave them out when it goes on."""
    return {unquote(path.name.removesuffix(_SUFFIX)) for path in (Path(folder) / _SHARDS).glob(f"*{_SUFFIX}")}


def merge_shards(folder: str | Path, names: Iterable[str]) -> pd.DataFrame:
    """
    Join the shards of a run and write ``rows.parquet``, ``rows.csv`` and ``timings.parquet``.

    Args:
        folder: of the run.
        names: of all pieces of work of the run.

    Returns:
        The rows, without ``seconds``.

    Raises:
        ValueError: when a shard is missing or does not belong to the run, or a row occurs in two shards.
    """
    folder, names = Path(folder), list(names)
    if len(set(names)) < len(names):
        twice = sorted(name for name in set(names) if names.count(name) > 1)
        raise ValueError(f"names of shards occur twice: {twice[:_SHOWN]}.")
    finished = finished_shards(folder)
    for problem, found in (("are missing", set(names) - finished), ("do not belong to it", finished - set(names))):
        if found:
            raise ValueError(f"{folder}: {len(found)} shards of the run {problem}, such as {sorted(found)[:_SHOWN]}.")
    shards = [pd.read_parquet(folder / _SHARDS / f"{quote(name, safe='')}{_SUFFIX}") for name in sorted(names)]
    # An empty table has no say in the types of the whole.
    table = make_rows(pd.concat([shard for shard in shards if len(shard)] or [make_rows([])]))
    timed = "seconds" in table
    rows = table.drop(columns="seconds") if timed else table
    with staged_files(folder) as stage:
        rows.to_parquet(stage / "rows.parquet", index=False)
        rows.to_csv(stage / "rows.csv", index=False, lineterminator="\n")
        if timed:
            table[[*IDENTITY, "seconds"]].to_parquet(stage / "timings.parquet", index=False)
    return rows


def read_rows(folder: str | Path) -> pd.DataFrame:
    """
    Read the merged rows of a run.

    Raises:
        FileNotFoundError: when the run is not merged.
        ValueError: when the file is not a table of rows.
    """
    path = Path(folder) / "rows.parquet"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: the run is not finished, or its shards are not merged.")
    return make_rows(pd.read_parquet(path))


def volume_rows(rows: pd.DataFrame) -> pd.Series:
    """Return which rows are of whole volumes."""
    if "over_propagation" not in rows:
        return pd.Series(False, index=rows.index)
    return rows.over_propagation.notna()


def _check_values(table: pd.DataFrame) -> None:
    """Raise where scores and areas cannot be those of a mask."""
    smaller = table[["area_target", "area_pred"]].min(axis=1)
    wrong = {
        "dsc must lie in [0, 1]": ~table.dsc.between(0, 1),
        "nsd must lie in [0, 1] or be NaN": ~(table.nsd.between(0, 1) | table.nsd.isna()),
        "nsd must be a number exactly where spacing_known": table.nsd.isna() == table.spacing_known,
        "hd95 must be finite and not negative": ~table.hd95.between(0, float("inf"), inclusive="left"),
        "intersection must lie between 0 and the smaller area": ~table.intersection.between(0, smaller),
        "empty_pred must be true exactly where area_pred is 0": table.empty_pred != (table.area_pred == 0),
        "slice_index must be -1 or more": table.slice_index < -1,
        "instance must be 0 or more": table.instance < 0,
    }
    if VOLUME_COLUMNS.keys() <= set(table):
        of_volumes = table[list(VOLUME_COLUMNS)]
        dice = of_volumes.filter(like="dsc_")
        wrong |= {
            f"{', '.join(VOLUME_COLUMNS)} must be numbers for volumes and NaN for slices": of_volumes.isna().any(axis=1)
            & of_volumes.notna().any(axis=1),
            f"{', '.join(dice)} must lie in [0, 1]": ((dice < 0) | (dice > 1)).any(axis=1),
            "over_propagation must not be negative": of_volumes.over_propagation < 0,
        }
    for message, where in wrong.items():
        if where.any():
            raise ValueError(f"{message}; wrong in {int(where.sum())} rows, such as {_identities(table[where])}.")


def _identities(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(table[list(IDENTITY)].head(_SHOWN).itertuples(index=False, name=None))

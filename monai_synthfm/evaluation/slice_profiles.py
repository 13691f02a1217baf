# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
The table behind the rows of whole volumes: what each slice contributes, and how far it is from the prompted one.

It is written as the rows are: ``slices/<name>.parquet`` for each piece of work while a run goes on, whole or not at all
and before the rows of the piece, and ``slices.parquet`` once merged, the same whatever the order of the pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from monai_synthfm.evaluation.intervals import mean_intervals
from monai_synthfm.evaluation.results_table import COLUMNS, IDENTITY, volume_rows
from monai_synthfm.evaluation.volume_metrics import slice_areas
from monai_synthfm.utils.atomic_files import staged_files

__all__ = [
    "SLICE_COLUMNS",
    "UNITS",
    "distance_curve",
    "make_slices",
    "merge_slices",
    "profile",
    "read_slices",
    "write_slices",
]

SLICE_COLUMNS: Mapping[str, str] = {
    **{name: COLUMNS[name] for name in IDENTITY},
    "distance": "int64",
    "distance_mm": "float64",
    "area_target": "int64",
    "area_pred": "int64",
    "intersection": "int64",
}
"""
Columns and their types.

The identity of the row of the whole volume, whose ``slice_index`` is the prompted slice; ``distance``: number of slices
from there, negative towards lower indexes; ``distance_mm``: the same in mm, NaN where the spacing is not known and
between the frames of a sequence; numbers of pixels of the slice. Slices without target and prediction have no row.
"""

UNITS: Mapping[str, float] = {"slices": 1.0, "mm": 5.0}
"""Units of a curve, and how far its first step reaches."""

_FOLDER = "slices"
_KEY = [*IDENTITY, "distance"]
_SHOWN = 3


def profile(
    prediction: np.ndarray, target: np.ndarray, prompted: int, axis: int = 2, spacing: Sequence[float] | None = None
) -> list[dict[str, Any]]:
    """
    Count the pixels of a volume's masks slice by slice.

    Args:
        prediction: booleans [X, Y, Z].
        target: booleans [X, Y, Z].
        prompted: the slice that was prompted.
        axis: across which the volume was cut.
        spacing: mm along the three axes; None where slices have no distance in mm.

    Returns:
        Records with the columns of ``SLICE_COLUMNS`` besides the identity, for slices with target or prediction.

    Example:
        >>> target, found = np.zeros((4, 4, 5), bool), np.zeros((4, 4, 5), bool)
        >>> target[:2, :, 1:3] = found[:3, :, 2:4] = True
        >>> [tuple(record.values()) for record in profile(found, target, prompted=2, spacing=(1.0, 1.0, 2.5))]
        [(-1, -2.5, 8, 0, 0), (0, 0.0, 8, 12, 8), (1, 2.5, 0, 12, 0)]
    """
    step = float("nan") if spacing is None else float(spacing[axis])
    areas = np.stack(slice_areas(prediction, target, axis), axis=1)
    names = ("area_target", "area_pred", "intersection")
    return [
        {
            "distance": int(k) - prompted,
            "distance_mm": (int(k) - prompted) * step,
            **dict(zip(names, areas[k].tolist(), strict=True)),
        }
        for k in np.flatnonzero(areas.any(axis=1))
    ]


def make_slices(records: Iterable[Mapping[str, Any]] | pd.DataFrame) -> pd.DataFrame:
    """
    Make a table of slices in the one order of columns and rows, and check it.

    Raises:
        ValueError: when a column is missing or unknown, or a slice occurs twice.
    """
    table = pd.DataFrame(records if isinstance(records, pd.DataFrame) else list(records))
    if table.empty:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in SLICE_COLUMNS.items()})
    if set(table) != set(SLICE_COLUMNS):
        raise ValueError(f"slices must have the columns {list(SLICE_COLUMNS)}, got {list(table)}.")
    table = table[list(SLICE_COLUMNS)].astype(dict(SLICE_COLUMNS))
    twice = table.duplicated(_KEY)
    if twice.any():
        raise ValueError(f"{int(twice.sum())} slices occur twice, such as {table.loc[twice, _KEY].iloc[0].tolist()}.")
    return table.sort_values(_KEY, ignore_index=True)


def write_slices(folder: str | Path, name: str, records: Iterable[Mapping[str, Any]] | pd.DataFrame) -> None:
    """
    Write the slices of one piece of work, whole or not at all; nothing when there are none.

    Args:
        folder: of the run.
        name: of the piece of work, as for :func:`~monai_synthfm.evaluation.results_table.write_shard`.
        records: slices with ``SLICE_COLUMNS``, in any order.

    Raises:
        ValueError: as :func:`make_slices`.
    """
    table = make_slices(records)
    if len(table):
        path = _path(folder, name)
        with staged_files(path.parent) as stage:
            table.to_parquet(stage / path.name, index=False)


def merge_slices(folder: str | Path, names: Iterable[str], rows: pd.DataFrame) -> None:
    """
    Join the slices of a run and write ``slices.parquet``; nothing when no row is of a whole volume.

    Args:
        folder: of the run.
        names: of all pieces of work of the run.
        rows: the merged rows.

    Raises:
        ValueError: when the slices are not those of the rows.
    """
    identities = [rows.loc[volume_rows(rows), list(IDENTITY)]]
    if identities[0].empty:
        return
    paths = [path for name in sorted(names) if (path := _path(folder, name)).is_file()]
    table = make_slices(pd.concat([pd.read_parquet(path) for path in paths] or [make_slices([])]))
    identities.append(table[list(IDENTITY)].drop_duplicates())
    wanted, found = (set(part.itertuples(index=False, name=None)) for part in identities)
    if wanted != found:
        other = sorted(wanted ^ found)
        raise ValueError(
            f"{folder}: {len(other)} rows of whole volumes and their slices do not belong together, such as "
            f"{other[:_SHOWN]}. Delete the files of these cases in shards and {_FOLDER}, and run again."
        )
    with staged_files(folder) as stage:
        table.to_parquet(stage / "slices.parquet", index=False)


def read_slices(folder: str | Path) -> pd.DataFrame:
    """Read the merged slices of a run; an empty table when it has no whole volumes."""
    path = Path(folder) / "slices.parquet"
    return make_slices(pd.read_parquet(path) if path.is_file() else [])


def distance_curve(slices: pd.DataFrame, unit: str = "slices") -> pd.DataFrame:
    r"""
    Take the mean DSC of slices that show the target at each distance from the prompted one, on both sides together.

    Distances are gathered in steps that double: 0, up to u, 2u, 4u, ..., with u from ``UNITS``. In each step, the mean
    over the slices of a patient, then over patients, then over structures, with an interval over patients
    (:func:`~monai_synthfm.evaluation.intervals.mean_intervals`). Far steps hold the structures that reach so far, which
    are the large ones.

    Args:
        slices: the table of slices.
        unit: ``slices`` (frames of a sequence), or ``mm``, which leaves out slices without a distance in mm.

    Returns:
        A table with ``model``, ``modality``, ``prompts``, ``reach`` (the upper end of the step), ``mean``, ``ci_low``,
        ``ci_high`` and ``n_patients``.

    Source: the failure that arXiv 2511.21926 names; steps and means are our choice.
    """
    shown = slices[slices.area_target > 0]
    column = "distance" if unit == "slices" else "distance_mm"
    shown = shown[shown[column].notna()]
    lengths = shown[column].abs().to_numpy()
    # Products of spacings have round-off: what is 10 mm away belongs to the step up to 10 mm.
    steps = np.ceil(np.log2(np.maximum(lengths / UNITS[unit], 1.0)).round(6))
    reach = np.where(lengths > 0, UNITS[unit] * 2.0**steps, 0.0)
    dice = 2 * shown.intersection / (shown.area_target + shown.area_pred)
    return mean_intervals(shown.assign(dsc=dice, reach=reach), by=("modality", "prompts", "reach"))


def _path(folder: str | Path, name: str) -> Path:
    return Path(folder) / _FOLDER / f"{quote(name, safe='')}.parquet"

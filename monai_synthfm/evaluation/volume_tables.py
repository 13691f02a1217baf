# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tables of whole volumes: each score by structure, and how models fail, side by side with intervals and tests."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from monai_synthfm.evaluation.aggregation import pooled
from monai_synthfm.evaluation.intervals import interval_columns, interval_table, interval_texts, mean_intervals
from monai_synthfm.evaluation.metrics import NSD_TOLERANCE_MM
from monai_synthfm.evaluation.statistics import LOWER_IS_BETTER, compare_scores
from monai_synthfm.evaluation.table_formats import Best
from monai_synthfm.evaluation.tables import comparison_table, score_table

__all__ = ["FAILURES", "distance_table", "volume_tables"]

FAILURES: Mapping[str, str] = {
    "dsc": "3D DSC, %",
    "dsc_prompted": "DSC on the prompted slice, %",
    "dsc_farthest": "DSC on the farthest slice, %",
    "over_propagation": "over-propagation, %",
}
"""The score, and the three failures after arXiv 2511.21926, by their columns."""

_CAPTIONS = {
    "dsc": "3D DSC by structure, %",
    "nsd": f"3D NSD by structure, %, tolerance {NSD_TOLERANCE_MM:g} mm, where the spacing is known; "
    "of sequences the mean over frames",
    "hd95": "3D HD95 by structure, mm; of sequences the mean over frames",
    "dsc_slices": "DSC by structure, mean over the slices that show the target, %",
    "dsc_prompted": "DSC by structure on the prompted slice, %",
    "dsc_unprompted": "3D DSC by structure without the prompted slice, %",
    "dsc_farthest": "DSC by structure on the target's slice farthest from the prompted one, %",
    "over_propagation": "Volume predicted before the first and after the last slice of the target, % of the target",
}


def volume_tables(rows: pd.DataFrame) -> dict[str, tuple[str, pd.DataFrame, Best]]:
    """
    Lay out the scores of whole volumes.

    With several modalities, tables with intervals have a row ``all`` as well, where each structure of each modality
    counts once.

    Args:
        rows: rows of whole volumes, not empty.

    Returns:
        Captions, tables and which figures are best by the names of the tables. ``volume_tests`` is missing where there
        is one model.
    """
    together = pooled(rows)
    intervals = "mean over structures with its 95 % interval, bootstrap over patients"
    tables: dict[str, tuple[str, pd.DataFrame, Best]] = {
        "volume_dsc_intervals": (
            f"3D DSC in percent, {intervals}",
            interval_table(mean_intervals(together)),
            "highest",
        ),
        "volume_failures": (
            f"How it fails: on the prompted slice, with distance, and beyond the ends of the target; {intervals}",
            interval_columns(together, FAILURES),
            "highest",
        ),
    }
    tests = comparison_table(compare_scores(together, FAILURES))
    if len(tests):
        tables["volume_tests"] = ("The same, every model against every other, paired by patient", tests, "highest")
    caption = "3D DSC by modality, mean over structures, %"
    tables["volume_dsc_by_modality"] = (caption, score_table(rows, by=("modality",)), "highest")
    for value, caption in _CAPTIONS.items():
        known = rows[rows.spacing_known] if value in ("nsd", "hd95") else rows
        if len(known):
            best: Best = "lowest" if value in LOWER_IS_BETTER else "highest"
            tables[f"volume_{value}"] = (caption, score_table(known, value), best)
    return tables


def distance_table(curve: pd.DataFrame) -> pd.DataFrame:
    """
    Lay out a curve in percent with its intervals: a row for each modality, prompts and model, a column for each step.

    Args:
        curve: from :func:`~monai_synthfm.evaluation.slice_profiles.distance_curve`.
    """
    index = ["modality", "prompts", "model"]
    table = curve.assign(text=interval_texts(curve)).pivot(index=index, columns="reach", values="text")
    return table.rename(columns="{:g}".format).fillna("")

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The evaluation: protocol, rows, metrics, statistics, tables and the report."""

from __future__ import annotations

from monai_synthfm.evaluation.aggregation import interaction_scores, summarise, volume_dice
from monai_synthfm.evaluation.html_report import write_report
from monai_synthfm.evaluation.metrics import MaskScores, score_mask
from monai_synthfm.evaluation.provenance import Provenance
from monai_synthfm.evaluation.results_table import make_rows, merge_shards, read_rows, write_shard
from monai_synthfm.evaluation.statistics import compare_models
from monai_synthfm.evaluation.tables import paper_table, score_table
from monai_synthfm.evaluation.volume_metrics import VolumeScores, score_volume

__all__ = [
    "MaskScores",
    "Provenance",
    "VolumeScores",
    "compare_models",
    "interaction_scores",
    "make_rows",
    "merge_shards",
    "paper_table",
    "read_rows",
    "score_mask",
    "score_table",
    "score_volume",
    "summarise",
    "volume_dice",
    "write_report",
    "write_shard",
]

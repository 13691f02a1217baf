# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from tqdm import tqdm

from monai_synthfm.data.datasets import LabelledDataset
from monai_synthfm.evaluation.left_out import left_out
from monai_synthfm.evaluation.predictors import Model
from monai_synthfm.evaluation.protocol import EvaluationProtocol
from monai_synthfm.evaluation.runner import PreparedCases

__all__ = ["DryRun", "dry_run"]

_KEYS = ["dataset", "structure"]
_COUNTS = ["cases", "slices", "masks", "rows"]


@dataclass(frozen=True)
class DryRun:
    """
    What an evaluation would do.

    Args:
        counts: a row for each dataset and structure with the numbers of ``cases``, of ``slices`` that show it, of its
            ``masks``, and of ``rows`` of the table, which are fewer where an interactive run ends early.
        skipped: what is left out and why, see :func:`~monai_synthfm.evaluation.left_out.left_out`.
    """

    counts: pd.DataFrame
    skipped: pd.DataFrame

    def __str__(self) -> str:
        total = f"{self.counts.masks.sum()} masks, {self.counts.rows.sum()} rows"
        tables = [table.to_string(index=False) if len(table) else "" for table in (self.counts, self.skipped)]
        return f"{tables[0]}\n{total}; left out: {self.skipped.records.sum()} records\n{tables[1]}".strip()


def dry_run(
    datasets: Sequence[LabelledDataset], models: Sequence[Model], protocol: EvaluationProtocol, on_fault: str = "raise"
) -> DryRun:
    """
    Load all cases and count what there is to evaluate, and what is left out for which reason; no model is asked
    anything.

    Args:
        datasets: those of the run.
        models: those of the run.
        protocol: that of the run.
        on_fault: ``raise`` or ``skip``, as for the run.

    Raises:
        ValueError: when a case cannot be read.
    """
    found = []
    skipped = [record for dataset in datasets for record in dataset.skip_report()]
    for dataset in datasets:
        cases = PreparedCases(dataset, range(len(dataset.data)), protocol, on_fault)
        for k in tqdm(range(len(cases)), desc=f"counting {dataset.name}", unit="case"):
            prepared, records = cases[k]
            skipped += records
            for structure, (slices, masks) in ({} if prepared is None else protocol.count(prepared)).items():
                rows = masks * protocol.answers * len(models)
                found.append((dataset.name, structure, 1, slices, masks, rows))
    counts = pd.DataFrame(found, columns=[*_KEYS, *_COUNTS]).groupby(_KEYS, sort=False).sum().reset_index()
    return DryRun(counts, left_out(skipped))

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The end of an evaluation: its report, with what the run knows of its models, settings and data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from monai_synthfm.evaluation.provenance import Provenance
from monai_synthfm.evaluation.replay import RowReplay
from monai_synthfm.evaluation.report import write_report
from monai_synthfm.evaluation.runner import EvaluationRunner
from monai_synthfm.evaluation.tables import published
from monai_synthfm.switches import reads_switches

__all__ = ["RunReport"]


@reads_switches
class RunReport:
    """
    Write the report of a finished run into ``report`` in its folder, and print where it is.

    Args:
        title: of the page.
        paper_tables: numbers of tables of the paper to lay ours beside.
        gallery: draw the worst, the median and the best answers, which are made again for it.

    Raises:
        ValueError: when the paper has no such table of scores.
    """

    def __init__(self, title: str, paper_tables: Sequence[int] = (), gallery: bool = True) -> None:
        for number in paper_tables:
            published(number)  # an unknown one is refused before the evaluation runs, not after
        self.title, self.paper_tables, self.gallery = title, list(paper_tables), gallery

    def __call__(self, runner: EvaluationRunner, rows: pd.DataFrame) -> Path:
        """
        Write the report.

        Args:
            runner: of the run.
            rows: its table.

        Returns:
            The path of the page.
        """
        provenance = Provenance(
            weights=[{"model": model.name, **runner.pinned(f"model {model.name}")} for model in runner.models],
            configs={"protocol": json.dumps(runner.pinned("protocol"), indent=1)},
            settings={f"cases of {dataset.name}": len(dataset.data) for dataset in runner.datasets},
            skips=runner.skipped(),
        )
        replay = RowReplay(runner.datasets, runner.models, runner.protocol) if self.gallery else None
        page = write_report(runner.output_dir / "report", rows, self.title, provenance, self.paper_tables, replay)
        for model in runner.models:
            model.release()
        print(f"report: {page}")
        return page

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The end of an evaluation: its report, with what the run knows of its models, settings and data."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from monai_synthfm.evaluation.html_report import write_report
from monai_synthfm.evaluation.left_out import left_out_words
from monai_synthfm.evaluation.metrics import NSD_TOLERANCE_MM
from monai_synthfm.evaluation.provenance import Provenance
from monai_synthfm.evaluation.replay import RowReplay
from monai_synthfm.evaluation.runner import EvaluationRunner
from monai_synthfm.evaluation.slice_profiles import read_slices
from monai_synthfm.evaluation.tables import published
from monai_synthfm.utils.switches import reads_switches

__all__ = ["RunReport"]

logger = logging.getLogger(__name__)


@reads_switches
class RunReport:
    """
    Write the report of a finished run into ``report`` in its folder, and print where it is.

    Args:
        title: of the page.
        paper_tables: numbers of tables of the paper to lay ours beside.
        gallery: draw the worst, the median and the best answers, which are made again for it.
        show: names of tables of the report to print as well, as Markdown.

    Raises:
        ValueError: when the paper has no such table of scores.
    """

    def __init__(
        self, title: str, paper_tables: Sequence[int] = (), gallery: bool = True, show: Sequence[str] = ()
    ) -> None:
        for number in paper_tables:
            published(number)  # an unknown one is refused before the evaluation runs, not after
        self.title, self.paper_tables, self.gallery = title, list(paper_tables), gallery
        self.show = list(show)

    def __call__(self, runner: EvaluationRunner, rows: pd.DataFrame) -> Path:
        """
        Write the report.

        Args:
            runner: of the run.
            rows: its table.

        Returns:
            The path of the page.

        Raises:
            ValueError: when there are no rows; with the reasons why cases were left out.
        """
        provenance = Provenance(
            weights=[
                {"model": model.name, **runner.pinned(f"model {model.name}"), "files": model.weight_files()}
                for model in runner.models
            ],
            settings={**_protocol(runner), **_datasets(runner), **_never_evaluated(runner, rows)},
            skips=runner.skipped(),
        )
        if rows.empty:
            reasons = left_out_words(provenance.skips) or "no case at all"
            raise ValueError(
                f"{runner.output_dir}: no target was evaluated, so there is nothing to report ({reasons}); "
                "skipped.json there says why for each case."
            )
        replay = RowReplay(runner.datasets, runner.models, runner.protocol) if self.gallery else None
        slices = read_slices(runner.output_dir)
        folder = runner.output_dir / "report"
        page = write_report(folder, rows, self.title, provenance, self.paper_tables, replay, slices)
        for name in self.show:
            path = folder / f"{name}.md"
            print(f"\n{name}\n\n{path.read_text() if path.is_file() else 'This run has no such table.'}")
        for model in runner.models:
            model.release()
        print(f"report: {page}")
        return page


def _protocol(runner: EvaluationRunner) -> dict[str, Any]:
    """Name the settings of the protocol, those within others by the way to them, and of the scores."""
    (flat,) = pd.json_normalize(runner.pinned("protocol")).to_dict("records")
    return {**{f"protocol: {name}": value for name, value in flat.items()}, "NSD tolerance, mm": NSD_TOLERANCE_MM}


def _datasets(runner: EvaluationRunner) -> dict[str, Any]:
    """Name the settings of each dataset and count its cases."""
    return {
        f"{dataset.name}: {name}": value
        for dataset in runner.datasets
        for name, value in {**dataset.describe(), "cases": len(dataset.data)}.items()
    }


def _never_evaluated(runner: EvaluationRunner, rows: pd.DataFrame) -> dict[str, str]:
    """Name the structures that were asked for and have no row, which no table of scores would show."""
    missing = {}
    for dataset in runner.datasets:
        asked = dict.fromkeys(name for case in dataset.data for name in case.structures)
        seen = set(rows.structure[rows.dataset == dataset.name])
        names = ", ".join(name for name in asked if name not in seen)
        if names:
            missing[f"{dataset.name}: structures without any row"] = names
            logger.warning("%s: no row of %s, in any of %d cases", dataset.name, names, len(dataset.data))
    return missing

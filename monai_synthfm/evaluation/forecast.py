# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation would do, and how long it would take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from tqdm import tqdm

from monai_synthfm.data.datasets import LabelledDataset
from monai_synthfm.evaluation.predictors import Model
from monai_synthfm.evaluation.protocol import EvaluationProtocol
from monai_synthfm.evaluation.runner import PreparedCases

__all__ = ["Forecast", "forecast"]


@dataclass(frozen=True)
class Forecast:
    """
    What an evaluation would do.

    Args:
        counts: a row for each dataset and structure with the numbers of ``cases``, ``slices`` and ``targets``.
        slices: different slices of each dataset, each encoded once by each model.
        seconds: expected time by model; measured on the first case.
        skipped: how many records of what is left out there are.
    """

    counts: pd.DataFrame
    slices: dict[str, int]
    seconds: dict[str, float]
    skipped: int

    def __str__(self) -> str:
        hours, rest = divmod(round(sum(self.seconds.values())), 3600)
        times = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.seconds.items())
        return (
            f"{self.counts.to_string(index=False)}\n"
            f"slices: {', '.join(f'{name} {count}' for name, count in self.slices.items())}; "
            f"left out: {self.skipped} records\n"
            f"expected time: {hours} h {rest // 60:02d} min ({times})"
        )


def forecast(
    datasets: Sequence[LabelledDataset],
    models: Sequence[Model],
    protocol: EvaluationProtocol[Any, Any],
    on_fault: str = "raise",
) -> Forecast:
    """
    Load all cases, count what there is to evaluate, and time each model on the first case.

    ``seconds = slices * t(encode) + decodings * t(decode)``, see
    :class:`~monai_synthfm.evaluation.protocol.Effort`.

    Args:
        datasets: those of the run.
        models: those of the run; with none, no time is expected.
        protocol: that of the run.
        on_fault: ``raise`` or ``skip``, as for the run.

    Raises:
        ValueError: when a case cannot be read.
    """
    counts: dict[str, Counter[tuple[str, str]]] = {name: Counter() for name in ("cases", "slices", "targets")}
    slices: Counter[str] = Counter()
    first: Any = None
    decodings = 0
    skipped = sum(len(dataset.skipped) for dataset in datasets)
    for dataset in datasets:
        cases = PreparedCases(dataset, range(len(dataset.data)), protocol, on_fault)
        for k in tqdm(range(len(cases)), desc=f"counting {dataset.name}", unit="case"):
            prepared, records = cases[k]
            skipped += len(records)
            if prepared is None:
                continue
            effort = protocol.effort(prepared)
            slices[dataset.name] += effort.slices
            decodings += effort.decodings
            first = prepared if first is None and effort.decodings else first
            for structure, (on_slices, targets) in effort.structures.items():
                place = (dataset.name, structure)
                counts["cases"][place] += 1
                counts["slices"][place] += on_slices
                counts["targets"][place] += targets
    rows = [(*place, *(counter[place] for counter in counts.values())) for place in counts["cases"]]
    table = pd.DataFrame(rows, columns=["dataset", "structure", *counts])
    seconds: dict[str, float] = {}
    for model in models:
        if first is None:
            break
        encoding, decoding = protocol.seconds(model, first)
        seconds[model.name] = slices.total() * encoding + decodings * decoding
        model.release()
    return Forecast(table, dict(slices), seconds, skipped)

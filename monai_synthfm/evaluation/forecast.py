# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation would do, and how long it would take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import pandas as pd
import torch
from tqdm import tqdm

from monai_synthfm.data.case_slices import CaseSlicer, EvaluationSlice
from monai_synthfm.data.datasets import LabelledDataset
from monai_synthfm.evaluation.predictors import Predictor
from monai_synthfm.evaluation.prompt_plan import PromptPlan
from monai_synthfm.evaluation.protocol import prompted_masks
from monai_synthfm.evaluation.runner import SlicedCases

__all__ = ["Forecast", "forecast"]


@dataclass(frozen=True)
class Forecast:
    """
    What an evaluation would do.

    Args:
        counts: a row for each dataset and structure with the numbers of ``cases``, ``slices`` and ``targets``.
        slices: different slices of each dataset, each encoded once by each model.
        seconds: expected time by model; measured on the first slice.
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
    models: Sequence[Predictor],
    slicer: CaseSlicer,
    plan: PromptPlan,
    on_fault: str = "raise",
) -> Forecast:
    """
    Load all cases, count what there is to evaluate, and time each model on the first slice.

    ``seconds = slices * t(encode) + targets * t(all prompts of a target)``.

    Args:
        datasets: those of the run.
        models: those of the run; with none, no time is expected.
        slicer: that of the run.
        plan: that of the run.
        on_fault: ``raise`` or ``skip``, as for the run.

    Raises:
        ValueError: when a case cannot be read.
    """
    counts: dict[str, Counter[tuple[str, str]]] = {name: Counter() for name in ("cases", "slices", "targets")}
    slices: Counter[str] = Counter()
    first: EvaluationSlice | None = None
    skipped = sum(len(dataset.skipped) for dataset in datasets)
    for dataset in datasets:
        cases = SlicedCases(dataset, range(len(dataset.data)), slicer, on_fault)
        for k in tqdm(range(len(cases)), desc=f"counting {dataset.name}", unit="case"):
            sliced = cases[k]
            skipped += len(sliced.skipped)
            slices[dataset.name] += len(sliced.slices)
            first = first or (sliced.slices[0] if sliced.slices else None)
            on_slice = [(dataset.name, name) for item in sliced.slices for name in {t.structure for t in item.targets}]
            counts["cases"].update(set(on_slice))
            counts["slices"].update(on_slice)
            counts["targets"].update((dataset.name, t.structure) for item in sliced.slices for t in item.targets)
    table = pd.DataFrame(counts).rename_axis(["dataset", "structure"]).reset_index()
    seconds: dict[str, float] = {}
    for model in models:
        if first is None:
            break
        encoding, prompting = _time(model, replace(first, targets=first.targets[:1]), plan)
        seconds[model.name] = slices.total() * encoding + counts["targets"].total() * prompting
        model.release()
    return Forecast(table, dict(slices), seconds, skipped)


def _time(model: Predictor, item: EvaluationSlice, plan: PromptPlan) -> tuple[float, float]:
    """Seconds to encode an image and to answer all prompts of a target."""
    image = torch.from_numpy(item.image)
    model.encode(image)  # the first call is slower: it builds the network and warms up
    start = perf_counter()
    model.encode(image)
    encoding = perf_counter() - start
    start = perf_counter()
    for _ in prompted_masks(model, item, plan, "forecast", "forecast"):
        pass
    return encoding, max(0.0, perf_counter() - start - encoding)

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Training samples from labelled cases: the supervised reference that synthetic training is compared with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import numpy as np
import torch
from monai.transforms import Transform

from monai_synthfm.data.case_slices import CaseSlices, CutIntoSlices
from monai_synthfm.data.datasets.base import LabelledDataset
from monai_synthfm.data.datasets.case import Case
from monai_synthfm.data.seeded_dataset import SeededDataset
from monai_synthfm.io.faults import FaultError

__all__ = ["LabelledSlices", "LoadSlices", "split_by_patient"]

logger = logging.getLogger(__name__)


class LabelledSlices(SeededDataset):
    """
    Random slices of cases: sample i of an epoch is the same for any number of workers and ranks and after a resume.

    Args:
        cases: sliced cases, such as a ``CacheDataset`` of ``dataset.data`` through ``dataset.load`` and a
            :class:`~monai_synthfm.data.case_slices.CutIntoSlices`.
        samples_per_case: slices drawn from each case in an epoch.
        seed: of the whole dataset.
        transform: applied to each dictionary; random ones are seeded for the sample.

    Returns:
        ``dataset[i]`` is a dictionary with ``image`` [1 or 3, H, W] float32 in [0, 1] and ``label`` [1, H, W] int64
        with the targets of the slice as instances 1..K, passed through ``transform``. Cases without slices are replaced
        by the next one that has some.

    Raises:
        ValueError: when an argument is out of its range, or no case has a slice.
        IndexError: when an index is outside the epoch.
    """

    def __init__(
        self,
        cases: Sequence[CaseSlices],
        samples_per_case: int = 1,
        seed: int = 0,
        transform: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        if samples_per_case < 1:
            raise ValueError(f"samples_per_case must be at least 1, got {samples_per_case}.")
        if not len(cases):
            raise ValueError("cases must not be empty.")
        super().__init__(seed, transform)
        self.cases = cases
        self.samples_per_case = samples_per_case
        self._last: tuple[int, CaseSlices] | None = None

    def __len__(self) -> int:
        return len(self.cases) * self.samples_per_case

    def make_sample(self, index: int, seed: int) -> dict[str, Any]:
        """Draw one slice of the case that the index belongs to."""
        slices = self._case_with_slices(index // self.samples_per_case).slices
        chosen = slices[int(np.random.default_rng(seed).integers(len(slices)))]
        label = np.zeros(chosen.image.shape[1:], dtype=np.int64)
        for number, target in enumerate(chosen.targets, start=1):
            label[target.mask] = number
        return {"image": torch.from_numpy(chosen.image.copy()), "label": torch.from_numpy(label)[None]}

    def _case_with_slices(self, first: int) -> CaseSlices:
        for step in range(len(self.cases)):
            index = (first + step) % len(self.cases)
            # Samples that follow each other are of one case, which may have to be read and sliced anew each time.
            last = self._last  # other threads may replace it
            if last is None or last[0] != index:
                self._last = last = (index, self.cases[index])
            if last[1].slices:
                return last[1]
        raise ValueError(f"none of the {len(self.cases)} cases has a slice to train on.")


class LoadSlices(Transform):
    """
    Load a case of a dataset and cut it into slices.

    Args:
        dataset: whose cases these are.
        slicer: cuts them.
        on_fault: ``raise`` stops at a case that cannot be read; ``skip`` warns and gives one without slices, which
            :class:`LabelledSlices` passes by.

    Raises:
        ValueError: when ``on_fault`` is another word; when called, see there.
    """

    def __init__(self, dataset: LabelledDataset, slicer: CutIntoSlices, on_fault: str = "raise") -> None:
        if on_fault not in ("raise", "skip"):
            raise ValueError(f"on_fault must be 'raise' or 'skip', got {on_fault!r}.")
        self.dataset, self.slicer, self.on_fault = dataset, slicer, on_fault

    def __call__(self, case: Case) -> CaseSlices:
        """Load and cut a case of ``dataset.data``."""
        try:
            return self.slicer(self.dataset.load(case))
        except FaultError as error:
            if self.on_fault == "raise":
                raise
            fault = self.dataset.fault_of(error, case.case_id, case.split)
            logger.warning("Left out: %s", fault)
            return CaseSlices({}, skipped=[fault.record()])


def split_by_patient(cases: Sequence[Case], fraction: float) -> tuple[list[Case], list[Case]]:
    """
    Split cases into two parts that share no patient, always in the same way.

    Patients are ordered by the CRC-32 of their ids, and the first ``round(fraction * n)`` of them, at least one, are
    the second part.

    Args:
        cases: cases of a dataset.
        fraction: of the patients that the second part gets, in (0, 1).

    Raises:
        ValueError: when the fraction is out of its range or there are fewer than 2 patients.

    Example:
        >>> known = {"dataset": "mine", "modality": "us", "split": "all", "image": "", "label": "", "structures": {}}
        >>> cases = [Case(case_id=f"{p}{k}", patient_id=p, **known) for p in "abc" for k in range(2)]
        >>> [[case.case_id for case in part] for part in split_by_patient(cases, 0.3)]
        [['a0', 'a1', 'b0', 'b1'], ['c0', 'c1']]
    """
    patients = sorted({case.patient_id for case in cases}, key=lambda name: (crc32(name.encode()), name))
    if not 0 < fraction < 1 or len(patients) < 2:
        raise ValueError(f"fraction must lie in (0, 1) and patients be 2 or more, got {fraction} and {len(patients)}.")
    held = set(patients[: min(max(1, round(fraction * len(patients))), len(patients) - 1)])
    return [c for c in cases if c.patient_id not in held], [c for c in cases if c.patient_id in held]

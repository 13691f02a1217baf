# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
The common core of all datasets: cases as dictionaries, loaded and checked when asked for.

A case has, before its files are read,

- ``case_id``, ``patient_id`` (what statistics and splits group by), ``dataset``, ``split``, ``modality`` (in the words
  of :class:`monai_synthfm.transforms.medsam.MedSAMIntensity`);
- ``image`` and ``label``: file names, one or several;
- ``structures``: values in the label map by names of structures;
- ``spacing``: mm along the axes of the image, or None where the files do not know it;

and, after loading,

- ``image``: float32 in the intensities of the files. Volumes: MetaTensor [1, X, Y, Z] with axes in the order closest
  to RAS+ and an affine from voxels to RAS+ mm; radiological slices are one ``Orientationd(axcodes="LPI")`` away.
  Pictures: [1, H, W], rows first, as seen on the screen, never reoriented; sequences of them [1, H, W, T];
- ``label``: int16 of the same size. The voxels of a structure are those where any channel has its value; there is one
  channel, unless structures are kept in files of their own and may overlap;
- ``present``: for each structure whether it is there at all. An absent structure is not to be scored with 0;
- ``instances``: only where single objects are labelled, int16 [1, H, W], 1..K.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from monai.data import Dataset, MetaTensor

from monai_synthfm.io.faults import Fault, FaultError, Finding

__all__ = ["Case", "LabelledDataset", "structure_mask"]

Case = dict[str, Any]

_SHOWN = 5


class LabelledDataset(Dataset, ABC):
    """
    A labelled dataset in a folder.

    ``data`` lists the cases without reading their voxels, and :meth:`load` reads one, so
    ``CacheDataset(dataset.data, Compose([dataset.load, ...]))`` and other datasets of MONAI take it from there.

    Args:
        root: folder of the download, at most four levels above the data.
        section: official split to take, one of ``sections``; None takes every case with public labels.
        transform: applied to each loaded case.
        structures: names of structures to keep in ``structures`` and ``present``; None takes those the paper evaluates
            (``evaluated``), ``"all"`` takes all. Labels themselves are not changed.
        exclude: case ids to leave out; they are listed in ``skipped``.
        on_fault: ``raise`` refuses a download with faults that show without reading voxels; ``skip`` leaves the cases
            out, lists them in ``skipped``, and refuses a download of which nothing is left. Voxels are checked on
            loading, or all at once by
            :func:`monai_synthfm.data.datasets.checks.check_data`.

    Raises:
        FileNotFoundError: when the dataset is not found in ``root``.
        ValueError: when an argument is wrong, a fault is found, or there is no case at all.
    """

    name: str
    modality: str
    table: Mapping[str, int]
    """Values in the label map by names of structures: all that may occur."""
    only_known_values = True
    """Whether other values than those of ``table`` are faults."""
    evaluated: Sequence[str]
    sections: ClassVar[tuple[str, ...]] = ("training", "validation", "test")
    expected: Mapping[str, int]
    """Numbers of labelled cases by split in the whole archive; splits of unknown size are not listed."""

    def __init__(
        self,
        root: str | Path,
        section: str | None = None,
        transform: Callable[[Case], Any] | None = None,
        structures: Sequence[str] | str | None = None,
        exclude: Sequence[str] = (),
        on_fault: str = "raise",
    ) -> None:
        if section is not None and section not in self.sections:
            raise ValueError(f"section must be one of {self.sections} or None, got {section!r}.")
        if on_fault not in ("raise", "skip"):
            raise ValueError(f"on_fault must be 'raise' or 'skip', got {on_fault!r}.")
        self.root = self.find_root(Path(root))
        self.section = section
        self.structures = self._chosen_structures(structures)
        scanned = list(self.scan())
        _check_excluded(exclude, {_case_id(item) for item in scanned}, self.name)
        found = [item for item in scanned if section is None or _split(item) in (section, None)]
        cases, self.skipped = self._sort_out(found, exclude)
        faults = [fault for fault in self.skipped if not fault.notice]
        if faults and on_fault == "raise":
            shown = "".join(f"\n  {fault}" for fault in faults[:_SHOWN])
            more = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
            raise ValueError(
                f"{self.name} in {self.root}: {len(faults)} faults "
                f"(on_fault='skip' leaves these cases out):{shown}{more}"
            )
        if not found:
            raise FaultError("empty", self.root, f"no labelled case of {self.name} in section {section or 'all'!r}")
        if not cases:
            kept = [str(fault) for fault in (*faults, *self.skipped)]
            message = f"none of the {len(found)} cases of {self.name} is usable, the first for this reason: {kept[0]}"
            raise FaultError("empty", self.root, message, self.skipped)
        super().__init__(data=cases, transform=transform)

    @abstractmethod
    def find_root(self, root: Path) -> Path:
        """Find the dataset's own folder."""

    @abstractmethod
    def scan(self) -> Iterable[Case | Fault]:
        """List the cases, and what cannot be one, from names and headers."""

    @abstractmethod
    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        """Read the image and the label map of a case."""

    def inspect(self, sample: Case) -> Iterable[Finding]:
        """Measure on a loaded case what tells right from wrong reading."""
        return ()

    def inspect_set(self, findings: Mapping[str, Sequence[Finding]]) -> Iterable[Finding]:
        """Measure on all cases together what no single case can tell, from the findings by case id."""
        return ()

    def why_nothing(self, sample: Case) -> str:
        """Say why a loaded case has nothing to evaluate."""
        return f"none of {sorted(sample['structures'])} in this case"

    def load(self, case: Case) -> Case:
        """
        Read and check the files of a case.

        Raises:
            FaultError: naming the file, when something is missing, broken, or does not fit.
        """
        image, label = self.read(case)
        file = case["label"] if isinstance(case["label"], str) else label.meta["filename_or_obj"]
        if image.shape[1:] != label.shape[1:]:
            message = f"label of size {tuple(label.shape[1:])}, image of size {tuple(image.shape[1:])}"
            raise FaultError("shape_mismatch", file, message)
        if label.ndim == 4 and not np.allclose(label.affine, image.affine, atol=1e-3):
            raise FaultError("affine_mismatch", file, "label and image lie in different places (affines differ)")
        values = np.unique(label.numpy())
        unknown = sorted(set(values.tolist()) - {0, *self.table.values()})
        if self.only_known_values and unknown:
            message = f"values {unknown[:_SHOWN]}, expected 0 and {sorted(self.table.values())}"
            raise FaultError("unexpected_label", file, message)
        present = {name: bool((values == value).any()) for name, value in case["structures"].items()}
        return {**case, "image": image, "label": label, "present": present}

    def skip_report(self) -> list[dict[str, Any]]:
        """List what was left out and why, for JSON."""
        return [fault.record() for fault in self.skipped]

    def case(self, case_id: str, split: str, image: Any, label: Any, **more: Any) -> Case:
        """
        Make a case.

        Args:
            case_id: unique in the dataset; it is the patient's id too, unless ``patient_id`` is given.
            split: official split.
            image: file or files.
            label: file or files.
            more: ``spacing``, ``patient_id``, ``structures`` where they differ from the dataset's, and facts of one
                dataset.
        """
        common = {
            "case_id": case_id,
            "patient_id": case_id,
            "modality": self.modality,
            "dataset": self.name,
            "split": split,
            "image": image,
            "label": label,
            "structures": dict(self.structures),
            "spacing": None,
        }
        return {**common, **more}

    def fault(
        self,
        code: str,
        file: str | Path,
        message: str,
        case_id: str | None = None,
        split: str | None = None,
        **more: bool,
    ) -> Fault:
        """Make a fault of this dataset, see :class:`Fault`."""
        return Fault(self.name, case_id, split, code, str(file), message, **more)

    def fault_of(self, error: FaultError, case_id: str, split: str | None) -> Fault:
        """Make a fault from the error of a file."""
        return self.fault(error.code, error.file, error.message, case_id, split)

    def try_case(self, make: Callable[[], Case], case_id: str, split: str) -> Case | Fault:
        """Make a case, or a fault from the error of doing so."""
        try:
            return make()
        except FaultError as error:
            return self.fault_of(error, case_id, split)

    def _transform(self, index: int) -> Any:
        # Not through MONAI's apply_transform, which would hide what is wrong with a file behind a RuntimeError.
        sample = self.load(self.data[index])
        return sample if self.transform is None else self.transform(sample)

    def _chosen_structures(self, structures: Sequence[str] | str | None) -> dict[str, int]:
        if structures == "all":
            return dict(self.table)
        names = self.evaluated if structures is None else structures
        unknown = [name for name in names if name not in self.table]
        if isinstance(names, str) or unknown:
            raise ValueError(f"structures must be 'all' or names out of {list(self.table)}, got {structures!r}.")
        return {name: self.table[name] for name in names}

    def _sort_out(self, found: list[Case | Fault], exclude: Sequence[str]) -> tuple[list[Case], list[Fault]]:
        cases: list[Case] = []
        skipped: list[Fault] = []
        seen: set[str] = set()
        for item in found:
            case_id = _case_id(item)
            if case_id in exclude:
                file = item.file if isinstance(item, Fault) else str(item["label"])
                skipped.append(self.fault("excluded", file, "by the user", case_id, _split(item), notice=True))
            elif isinstance(item, Fault):
                skipped.append(item)
            elif case_id in seen:
                message = "a second case of this id"
                skipped.append(self.fault("duplicate", item["label"], message, case_id, item["split"]))
            else:
                seen.add(item["case_id"])
                cases.append(item)
        return cases, skipped


def structure_mask(sample: Case, name: str) -> np.ndarray:
    """Return where a structure is in a loaded case, as booleans of the image's spatial size."""
    return (sample["label"].numpy() == sample["structures"][name]).any(axis=0)


def _case_id(item: Case | Fault) -> str | None:
    return item.case_id if isinstance(item, Fault) else item["case_id"]


def _split(item: Case | Fault) -> str | None:
    return item.split if isinstance(item, Fault) else item["split"]


def _check_excluded(exclude: Sequence[str], case_ids: set[str | None], name: str) -> None:
    if isinstance(exclude, str):
        raise ValueError(f"exclude must be a list of case ids, got {exclude!r}.")
    unknown = sorted(set(exclude) - case_ids)
    if unknown:
        raise ValueError(f"exclude names cases that {name} does not have: {unknown}.")

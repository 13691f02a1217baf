# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The common core of all datasets: cases, loaded and checked when asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from monai.data import Dataset, MetaTensor

from monai_synthfm.data.datasets.case import Case, LoadedCase
from monai_synthfm.io.faults import Fault, FaultError, Finding

__all__ = ["LabelledDataset", "split_names"]

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
        structures: names of structures to keep in ``structures`` and ``present``, in a list or in a text with commas;
            None takes those the paper evaluates (``evaluated``), ``"all"`` takes all. Labels are not changed.
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
        transform: Callable[[LoadedCase], Any] | None = None,
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
        self._chosen = {"root": str(root), "section": section, "exclude": list(exclude), "on_fault": on_fault}
        self.structures = self._chosen_structures(structures)
        scanned = list(self.scan())
        _check_excluded(exclude, {item.case_id for item in scanned}, self.name)
        found = [item for item in scanned if section is None or item.split in (section, None)]
        cases, self.skipped = self._sort_out(found, exclude)
        faults = [fault for fault in self.skipped if not fault.notice]
        if faults and on_fault == "raise":
            shown = "".join(f"\n  {fault}" for fault in faults[:_SHOWN])
            more = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
            raise ValueError(
                f"{self.name} in {self.root}: {len(faults)} faults (on_fault skip leaves these cases out):{shown}{more}"
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

    def inspect(self, sample: LoadedCase) -> Iterable[Finding]:
        """Measure on a loaded case what tells right from wrong reading."""
        return ()

    def inspect_set(self, findings: Mapping[str, Sequence[Finding]]) -> Iterable[Finding]:
        """Measure on all cases together what no single case can tell, from the findings by case id."""
        return ()

    def describe(self) -> dict[str, Any]:
        """
        Return what the user chose, with the folder as it was given, for JSON and reports.

        Readers with arguments of their own add them.
        """
        return {**self._chosen, "modality": self.modality, "structures": list(self.structures)}

    def why_nothing(self, sample: LoadedCase) -> str:
        """Say why a loaded case has nothing to evaluate."""
        return f"none of {sorted(sample.structures)} in this case"

    def load(self, case: Case | Mapping[str, Any]) -> LoadedCase:
        """
        Read and check the files of a case.

        Args:
            case: of ``data``, or a dictionary of its entries.

        Raises:
            FaultError: naming the file, when something is missing, broken, or does not fit.
        """
        case = Case.of(case)  # datasets of MONAI hand over dictionaries
        image, label = self.read(case)
        file = case.label if isinstance(case.label, str) else label.meta["filename_or_obj"]
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
        present = {name: bool((values == value).any()) for name, value in case.structures.items()}
        return LoadedCase(**{**vars(case), "image": image, "label": label}, present=present)

    def skip_report(self) -> list[dict[str, Any]]:
        """List what was left out and why, for JSON."""
        return [fault.record() for fault in self.skipped]

    def case(self, case_id: str, split: str, image: Any, label: Any, **more: Any) -> Case:
        """
        Make a case.

        Args:
            case_id: unique in the dataset; it is the patient's id too, unless ``patient_id`` is given.
            split: official split.
            image: path, or several in a list or by names.
            label: the same.
            more: other arguments of :class:`Case`, and facts.
        """
        common = {"dataset": self.name, "case_id": case_id, "patient_id": case_id, "modality": self.modality}
        files = {"image": _names(image), "label": _names(label)}
        return Case.of({**common, "split": split, **files, "structures": dict(self.structures), **more})

    def pair(
        self,
        images: Mapping[str, Path],
        labels: Mapping[str, Path],
        split: str,
        make: Callable[..., Case] | None = None,
        faults: Mapping[str, FaultError] | None = None,
        unlabelled_is_known: bool = False,
    ) -> Iterator[Case | Fault]:
        """
        Make cases of images and label maps that belong together by their ids, and faults of what is alone.

        Args:
            images: files by case id.
            labels: files by case id.
            split: official split of all.
            make: called with case id, split, image and label; None takes :meth:`case`.
            faults: of ids that are known to be no case, such as those that several files have, see
                :func:`~monai_synthfm.io.folders.files_by_stem`.
            unlabelled_is_known: images without a label are a notice, as the whole archive has some.
        """
        for case_id in dict.fromkeys([*images, *labels]):
            if faults and case_id in faults:
                yield self.fault_of(faults[case_id], case_id, split)
            elif case_id not in images:
                yield self.fault("missing_image", labels[case_id], "a label map without an image", case_id, split)
            elif case_id not in labels:
                file, message = images[case_id], "an image without a label map"
                yield self.fault("missing_label", file, message, case_id, split, notice=unlabelled_is_known)
            else:
                yield self.try_case(case_id, split, make or self.case, images[case_id], labels[case_id])

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

    def try_case(self, case_id: str, split: str, make: Callable[..., Case], *args: Any) -> Case | Fault:
        """Make a case of ``make(case_id, split, *args)``, or a fault from the error of doing so."""
        try:
            return make(case_id, split, *args)
        except FaultError as error:
            return self.fault_of(error, case_id, split)

    def _transform(self, index: int) -> Any:
        # Not through MONAI's apply_transform, which would hide what is wrong with a file behind a RuntimeError.
        sample = self.load(self.data[index])
        return sample if self.transform is None else self.transform(sample)

    def _chosen_structures(self, structures: Sequence[str] | str | None) -> dict[str, int]:
        if structures == "all":
            return dict(self.table)
        names = self.evaluated if structures is None else split_names(structures)
        if not names or any(name not in self.table for name in names):
            raise ValueError(f"structures must be 'all' or names out of {list(self.table)}, got {structures!r}.")
        return {name: self.table[name] for name in names}

    def _sort_out(self, found: list[Case | Fault], exclude: Sequence[str]) -> tuple[list[Case], list[Fault]]:
        cases: list[Case] = []
        skipped: list[Fault] = []
        seen: set[str] = set()
        for item in found:
            if item.case_id in exclude:
                file = item.file if isinstance(item, Fault) else str(item.label)
                skipped.append(self.fault("excluded", file, "by the user", item.case_id, item.split, notice=True))
            elif isinstance(item, Fault):
                skipped.append(item)
            elif item.case_id in seen:
                message = "a second case of this id"
                skipped.append(self.fault("duplicate", str(item.label), message, item.case_id, item.split))
            else:
                seen.add(item.case_id)
                cases.append(item)
        return cases, skipped


def split_names(names: Sequence[str] | str) -> list[str]:
    """
    List names that may be a text with commas, as people type them.

    Example:
        >>> split_names("liver, spleen"), split_names(("liver",))
        (['liver', 'spleen'], ['liver'])
    """
    if isinstance(names, str):
        return [name.strip() for name in names.split(",") if name.strip()]
    return list(names)


def _names(files: Any) -> Any:
    """Turn paths, alone, in a list, or by names, into texts."""
    if isinstance(files, Mapping):
        return {name: str(file) for name, file in files.items()}
    return str(files) if isinstance(files, str | Path) else [str(file) for file in files]


def _check_excluded(exclude: Sequence[str], case_ids: set[str | None], name: str) -> None:
    if isinstance(exclude, str):
        raise ValueError(f"exclude must be a list of case ids, got {exclude!r}.")
    unknown = sorted(set(exclude) - case_ids)
    if unknown:
        raise ValueError(f"exclude names cases that {name} does not have: {unknown}.")

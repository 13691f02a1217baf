# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A case of a dataset: what is known of it before its files are read, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
from monai.data import MetaTensor

__all__ = ["Case", "LoadedCase"]

CaseT = TypeVar("CaseT", bound="Case")


@dataclass(frozen=True, eq=False, kw_only=True)
class Case(Mapping[str, Any]):
    """
    What a dataset says of a case before its files are read.

    It is a mapping as well, from names of fields and facts to their values, so that dictionary transforms of MONAI take
    it; of the dictionary that they return, :meth:`of` makes a case again.

    Args:
        dataset: name of the dataset.
        case_id: unique in the dataset.
        patient_id: what statistics and splits group by.
        modality: in the words of :class:`~monai_synthfm.transforms.medsam.MedSAMIntensity`.
        split: official split.
        image: file name, or several, as the dataset reads them.
        label: the same of the label map.
        structures: values in the label map by names of structures.
        spacing: mm along the axes of the image, which are 3 for volumes and 2 (rows, columns) for pictures and
            sequences; None where the files do not know it.
        facts: what one dataset knows besides.

    Example:
        >>> names = {"dataset": "mine", "case_id": "a", "patient_id": "p", "modality": "us", "split": "all"}
        >>> case = Case(**names, image="a.png", label="b.png", structures={"head": 1}, facts={"view": "2CH"})
        >>> case.image, case["image"], case["view"], case.is_volume
        ('a.png', 'a.png', '2CH', False)
    """

    dataset: str
    case_id: str
    patient_id: str
    modality: str
    split: str
    image: Any
    label: Any
    structures: Mapping[str, int]
    spacing: Sequence[float] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls: type[CaseT], values: Mapping[str, Any]) -> CaseT:
        """Make a case of a dictionary of its fields and facts; a case stays."""
        if isinstance(values, cls):
            return values
        own = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        return cls(**own, facts={name: value for name, value in values.items() if name not in own})

    @property
    def is_volume(self) -> bool:
        """Whether slices lie beside each other in space; False for pictures and sequences of them."""
        return len(self.spacing or ()) == 3

    @property
    def record(self) -> dict[str, str]:
        """What tables say of the case."""
        return {name: self[name] for name in ("dataset", "case_id", "patient_id", "modality", "split")}

    def __getitem__(self, name: str) -> Any:
        return self._entries()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries())

    def __len__(self) -> int:
        return len(self._entries())

    def _entries(self) -> dict[str, Any]:
        hidden = {"facts"} if vars(self).get("instances") is not None else {"facts", "instances"}
        return {name: value for name, value in vars(self).items() if name not in hidden} | dict(self.facts)


@dataclass(frozen=True, eq=False, kw_only=True)
class LoadedCase(Case):
    """
    A case with its image and labels.

    Args:
        image: float32 in the intensities of the files. Volumes: [1, X, Y, Z] with axes in the order closest to RAS+ and
            an affine from voxels to RAS+ mm; radiological slices are one ``Orientationd(axcodes="LPI")`` away.
            Pictures: [1 or 3, H, W], rows first, as seen on the screen, never reoriented; sequences of them
            [1, H, W, T].
        label: int16 of the same size. The voxels of a structure are those where any channel has its value; there is
            one channel, unless structures are kept in files of their own and may overlap.
        present: for each structure whether it is there at all. An absent structure is not to be scored with 0.
        instances: int16 [1, H, W], 1..K, where single objects are labelled, else None and no entry of the mapping.
        options: see :class:`Case`.
    """

    image: MetaTensor
    label: MetaTensor
    present: Mapping[str, bool]
    instances: MetaTensor | None = None

    @property
    def file(self) -> str:
        """The file or folder of the image, for messages."""
        return str(self.image.meta["filename_or_obj"])

    def mask(self, name: str) -> np.ndarray:
        """Return where a structure is, as booleans of the image's spatial size."""
        return np.asarray((self.label.numpy() == self.structures[name]).any(axis=0))

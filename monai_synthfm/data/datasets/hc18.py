# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""HC18: fetal heads in ultrasound, annotated as ellipses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from monai.data import MetaTensor
from scipy import ndimage

from monai_synthfm.data.datasets.base import LabelledDataset
from monai_synthfm.data.datasets.case import Case, LoadedCase
from monai_synthfm.data.datasets.ellipses import Ellipse, fit_ellipse, outline_points
from monai_synthfm.io.faults import Fault, FaultError, Finding
from monai_synthfm.io.folders import entries, files_by_stem, find_root, read_rows
from monai_synthfm.io.pictures import grey_picture, picture_tensor, read_png

__all__ = ["Hc18Dataset"]

_TABLE = "training_set_pixel_size_and_HC.csv"
_NAME = re.compile(r"(\d+)_(\d*)HC")
_SUFFIX = "_Annotation"
_OUTLINE = 127
_Key = tuple[int, int]


class Hc18Dataset(LabelledDataset):
    """
    The 999 labelled images of 806 fetuses of HC18.

    Traps that are handled:

    - An annotation is the outline of an ellipse, about one pixel wide, and some run off the image, where filling holes
      fails: an ellipse is fitted to the outline and drawn. Copies with filled or coloured masks give the same result.
    - Several images show one fetus (``010_HC``, ``010_2HC``, ...): the number in front is the patient.
    - Copies drop the zeros of names or keep the table of pixel sizes inside the folder of images.
    - Test images have no labels; ``test_set`` is not read.

    Args:
        root: folder of the download.
        options: see :class:`LabelledDataset`; the only ``section`` is ``training``.

    A case has ``circumference`` besides, the recorded one in mm.
    """

    name = "hc18"
    modality = "us"
    sections: ClassVar[tuple[str, ...]] = ("training",)
    table: Mapping[str, int] = {"fetal_head": 1}
    evaluated = ("fetal_head",)
    expected: Mapping[str, int] = {"training": 999}

    def find_root(self, root: Path) -> Path:
        """Find the folder that holds annotations, such as ``training_set``."""

        def is_root(folder: Path) -> bool:
            return any(re.search(rf"HC{_SUFFIX}\.png$", path.name, re.IGNORECASE) for path in entries(folder))

        return find_root(root, is_root, "annotations of HC18 (000_HC_Annotation.png)")

    def scan(self) -> Iterator[Case | Fault]:
        """List the images."""
        rows = self._rows()
        twice: dict[str, FaultError] = {}
        files = files_by_stem(self.root, (".png",), twice=twice)
        labels = {stem.removesuffix(_SUFFIX): path for stem, path in files.items() if stem.endswith(_SUFFIX)}
        images = {stem: path for stem, path in files.items() if not stem.endswith(_SUFFIX)}
        twice = {stem.removesuffix(_SUFFIX): fault for stem, fault in twice.items()}
        odd = {
            stem: FaultError("unexpected_name", file, "expected <number>_HC.png")
            for stem, file in {**labels, **images}.items()
            if _key(stem) is None
        }
        yield from self.pair(images, labels, "training", partial(self._case_of, rows), {**odd, **twice})

    def _case_of(self, rows: Mapping[_Key, tuple[float, float]], case_id: str, split: str, *files: Path) -> Case:
        key = _key(case_id)
        if key is None or key not in rows:
            raise FaultError("no_metadata", files[0], f"no pixel size in {_TABLE}")
        patient, (pixel, length) = f"{key[0]:03d}", rows[key]
        return self.case(case_id, split, *files, patient_id=patient, spacing=[pixel, pixel], circumference=length)

    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        """Read the image and fill the ellipse."""
        image = grey_picture(read_png(case.image), case.image)
        marked = _marked(case.label)
        mask = _ellipse(case.label, marked).mask(marked.shape, margin=0.5)
        return picture_tensor(image, case.image), picture_tensor(mask.astype(np.int16), case.label)

    def inspect(self, sample: LoadedCase) -> Iterator[Finding]:
        """Compare with the recorded circumference, and with filled holes where the outline is closed."""
        path = sample.label.meta["filename_or_obj"]
        marked = _marked(path)
        length = _ellipse(path, marked).circumference() * sample["spacing"][0]
        yield Finding(
            "length of the outline minus recorded circumference, mm", length - sample.facts["circumference"], 0.0, 4.0
        )
        touches = marked[0].any() or marked[-1].any() or marked[:, 0].any() or marked[:, -1].any()
        if not touches:
            mask, filled = sample.mask("fetal_head"), ndimage.binary_fill_holes(marked)
            dice = 2 * (mask & filled).sum() / (mask.sum() + filled.sum())
            yield Finding("Dice of the ellipse and the filled outline", float(dice), low=0.99)

    def _rows(self) -> dict[_Key, tuple[float, float]]:
        # a folder that was linked to lies beside its table elsewhere
        places = (self.root, self.root.parent, self.root.resolve().parent)
        path = next((place / _TABLE for place in places if (place / _TABLE).is_file()), None)
        if path is None:
            raise FaultError("no_metadata", self.root / _TABLE, "no such table there or in the folder above")
        found = {}
        for row in read_rows(path):
            key = _key(Path(row.get("filename", "")).stem)
            try:
                values = float(row["pixel size(mm)"]), float(row["head circumference (mm)"])
            except (KeyError, ValueError) as error:
                raise FaultError("no_metadata", path, f"no pixel size or circumference in the row {row}") from error
            if key is not None:
                found[key] = values
        return found


def _key(stem: str) -> _Key | None:
    """Turn ``010_2HC`` into fetus 10, image 2."""
    match = _NAME.fullmatch(stem)
    return (int(match[1]), int(match[2] or 1)) if match else None


def _marked(path: str) -> np.ndarray:
    stored = read_png(path)
    channels = stored if stored.ndim == 3 else stored[..., None]
    return np.any(channels > _OUTLINE, axis=-1)


def _ellipse(path: str, marked: np.ndarray) -> Ellipse:
    try:
        return fit_ellipse(outline_points(marked))
    except ValueError as error:
        raise FaultError("unexpected_label", path, f"no ellipse is drawn: {error}") from error

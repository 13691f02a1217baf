# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A reader of one's own, as documentation shows it: pairs of PNG files, ``images/a.png`` and ``masks/a_mask.png``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monai.data import MetaTensor

from monai_synthfm.data.datasets import Case, LabelledDataset
from monai_synthfm.io.faults import Fault, FaultError
from monai_synthfm.io.folders import files_by_stem, find_root
from monai_synthfm.io.formats import read_labels_like, read_picture


class Nuclei(LabelledDataset):
    """Pictures of nuclei."""

    name, modality, sections = "nuclei", "microscopy", ("training",)
    table, evaluated = {"nucleus": 1}, ("nucleus",)
    expected = {"training": 2}  # noqa: RUF012

    def find_root(self, root: Path) -> Path:
        """Find the folder that has ``masks``."""
        return find_root(root, lambda folder: (folder / "masks").is_dir(), "the folder masks")

    def scan(self) -> Iterator[Case | Fault]:
        """List the pairs."""
        twice: dict[str, FaultError] = {}
        images = files_by_stem(self.root / "images", (".png",), twice=twice)
        labels = files_by_stem(self.root / "masks", (".png",), drop="_mask", twice=twice)
        yield from self.pair(images, labels, "training", faults=twice)

    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        """Read a pair."""
        image = read_picture(case.image)
        return image, read_labels_like(image, case.label)

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Images and a table of prompts for batches, and what is found of their results."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_synthfm.batch.segmentation import UnfinishedBatchError
from monai_synthfm.networks.promptable import ImageEmbedding
from tests.bundles.stored_volumes import OBLIQUE, ORIENTATIONS, STRAIGHT, root_of, store
from tests.inferers.region_grower import RegionGrower


class CountingGrower(RegionGrower):
    """Counts the slices that it is asked about."""

    count = 0

    def encode(self, image: torch.Tensor) -> ImageEmbedding:
        CountingGrower.count += len(image)
        return super().encode(image)


def save_images(folder: Path, voxels: np.ndarray) -> None:
    """Two folders with images of one name, and one more."""
    for place, ornt in (("a/ct", 0), ("b/ct", 25), ("b/other", 30)):
        (folder / place).parent.mkdir(exist_ok=True)
        store(folder / f"{place}.nii.gz", voxels, OBLIQUE if ornt else STRAIGHT, ORIENTATIONS[ornt])


def status(error: pytest.ExceptionInfo[BaseException]) -> UnfinishedBatchError:
    """What ended a batch, which a command answers with exit status 4."""
    root = root_of(error.value)
    assert isinstance(root, UnfinishedBatchError)
    assert root.exit_status == 4
    return root


def table_of(path: Path) -> list[dict[str, str]]:
    """Rows of a table."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def outputs(folder: Path) -> dict[str, bytes]:
    """Content of the label maps and pictures below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.name.endswith((".nii.gz", ".png"))
    }


TABLE = """image,object,clicks,labels,box
a/ct.nii.gz,bright,9 13 4,1,
b/ct.nii.gz,,"[[4, 9, 13]]",,
a/ct.nii.gz,boxed,,,2 2 4 20 20 4
b/other.nii.gz,third,4 9 13; 4 9 12,1 0,
"""

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Volumes stored in every way, and what goes wrong with them, for the tests of inference."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np

SIZES = (24, 22, 9)
CLICK = {"points": [[[9, 13, 4]]], "point_labels": [[1]]}
ORIENTATIONS = [
    np.array([*zip(order, flips, strict=True)], dtype=float)
    for order in permutations(range(3))
    for flips in product((1, -1), repeat=3)
]
"""All 48 ways to store the same volume: where each axis goes, and whether it is flipped."""


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    for axis, angle in enumerate(angles):
        turn = np.eye(4)
        a, b = [other for other in range(3) if other != axis]
        turn[[a, b, a, b], [a, b, b, a]] = [np.cos(angle), np.cos(angle), -np.sin(angle), np.sin(angle)]
        matrix = matrix @ turn
    return matrix


STRAIGHT = np.array([[0.9, 0, 0, -11], [0, 1.1, 0, 7], [0, 0, 1.3, 30], [0, 0, 0, 1.0]])
OBLIQUE = rotation((0.3, -0.2, 0.4)) @ STRAIGHT
SHEARED = STRAIGHT @ np.array([[1, 0.1, 0, 0], [0, 1, -0.15, 0], [0.05, 0, 1, 0], [0, 0, 0, 1.0]])


def store(path: Path, array: np.ndarray, affine: np.ndarray, ornt: np.ndarray) -> nib.Nifti1Image:
    """Save a volume with its axes permuted and flipped, lying in space as before."""
    stored = nib.apply_orientation(array, ornt)
    image = nib.Nifti1Image(np.ascontiguousarray(stored), affine @ nib.orientations.inv_ornt_aff(ornt, array.shape))
    image.header.set_sform(image.affine, code=2)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return nib.load(path)


def root_of(error: BaseException) -> BaseException:
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A body made of ellipsoids in RAS+ mm, which any grid can cut: organs lie where they do in people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# name: centre, radii (mm; x to the right, y to the front, z up), HU
ORGANS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], int]] = {
    "aorta": ((0, -22, 0), (8, 8, 200), 160),
    "gallbladder": ((18, 40, 0), (9, 9, 10), 10),
    "kidney_left": ((-38, -25, 0), (11, 11, 18), 150),
    "kidney_right": ((36, -25, -4), (13, 13, 18), 150),
    "liver": ((48, 12, 20), (26, 24, 22), 120),
    "pancreas": ((-8, 10, 0), (20, 6, 10), 90),
    "prostate": ((0, 0, -36), (12, 10, 10), 60),
    "spleen": ((-58, 0, 22), (14, 18, 16), 125),
    "stomach": ((-30, 34, 20), (16, 12, 12), 20),
    "bladder": ((0, 25, -36), (14, 10, 8), 5),
}
BODY = ((0, 0, 0), (88, 62, 400), 40)


def centred_affine(matrix: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Affine with this 3x3 matrix whose grid has the body's origin in its middle."""
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = -np.asarray(matrix) @ ((np.asarray(shape) - 1) / 2)
    return affine


def organ_masks(affine: np.ndarray, shape: Sequence[int], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Masks of organs on a grid; of two that meet, the one named first has the voxel."""
    free = np.ones(tuple(shape), dtype=bool)
    masks = {}
    for name in names:
        masks[name] = _inside(affine, shape, *ORGANS[name][:2]) & free
        free &= ~masks[name]
    return masks


def hounsfield(affine: np.ndarray, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """CT of the body, int16."""
    image = np.where(_inside(affine, shape, *BODY[:2]), float(BODY[2]), -1000.0)
    for name, mask in organ_masks(affine, shape, list(ORGANS)).items():
        image[mask] = ORGANS[name][2]
    noise = np.random.default_rng(seed).normal(0, 8, tuple(shape))
    return np.clip(np.rint(image + noise), -1000, 3000).astype(np.int16)


def _inside(affine: np.ndarray, shape: Sequence[int], centre: Sequence[float], radii: Sequence[float]) -> np.ndarray:
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    world = grid @ affine[:3, :3].T + affine[:3, 3]
    return (((world - np.asarray(centre)) / np.asarray(radii)) ** 2).sum(axis=-1) <= 1

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Where organs must lie in a body: the test of a reader that no amount of unit tests replaces."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from monai_synthfm.data.datasets.base import Case, structure_mask
from monai_synthfm.data.datasets.faults import Finding

__all__ = ["sides_of_the_body", "structure_position"]

_RIGHT_OF = (("kidney_right", "kidney_left"), ("liver", "spleen"))


def structure_position(sample: Case, name: str) -> np.ndarray:
    """Return the centroid of a structure in RAS+ mm [3]; the case must be a loaded volume that has it."""
    centre = np.argwhere(structure_mask(sample, name)).mean(axis=0)
    affine = sample["label"].affine.numpy()
    return affine[:3, :3] @ centre + affine[:3, 3]


def sides_of_the_body(sample: Case) -> Iterator[Finding]:
    """
    Measure whether the right kidney lies to the right of the left one, and the liver of the spleen.

    In RAS+ coordinates x grows to the patient's right. A few patients have their organs the other way round (situs
    inversus); such a finding is then true and the case may stay.
    """
    for right, left in _RIGHT_OF:
        if sample["present"].get(right) and sample["present"].get(left):
            gap = structure_position(sample, right)[0] - structure_position(sample, left)[0]
            yield Finding(f"distance by which {right} lies to the right of {left}, mm", float(gap), low=0.0)

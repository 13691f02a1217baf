# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Where organs must lie in a body: the test of a reader that no amount of unit tests replaces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from monai_synthfm.data.datasets.case import LoadedCase
from monai_synthfm.io.faults import Finding

__all__ = ["sides_of_the_body", "structure_position"]

_SIDE = re.compile(r"(?<![a-z])(left|right)(?![a-z])")


def structure_position(sample: LoadedCase, name: str) -> np.ndarray:
    """Return the centroid of a structure in RAS+ mm [3]; the case must be a loaded volume that has it."""
    centre = np.argwhere(sample.mask(name)).mean(axis=0)
    affine = sample.label.affine.numpy()
    return affine[:3, :3] @ centre + affine[:3, 3]


def sides_of_the_body(sample: LoadedCase) -> Iterator[Finding]:
    """
    Measure whether structures called right lie to the right of the same called left, and the liver of the spleen.

    In RAS+ coordinates x grows to the patient's right. A few patients have their organs the other way round (situs
    inversus); such a finding is then true and the case may stay.
    """
    for right, left in _right_of(sample.structures):
        if sample.present.get(right) and sample.present.get(left):
            gap = structure_position(sample, right)[0] - structure_position(sample, left)[0]
            yield Finding(f"distance by which {right} lies to the right of {left}, mm", float(gap), low=0.0)


def _right_of(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    plain = {name.lower(): name for name in names}
    for lower, name in plain.items():
        other = _SIDE.sub("left", lower)
        if other != lower and other in plain:
            yield name, plain[other]
    if "liver" in plain and "spleen" in plain:
        yield plain["liver"], plain["spleen"]

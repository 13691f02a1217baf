# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What lies in an organ of several greys, measured on its outlines."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path
from scipy.spatial.distance import cdist

from monai_synthfm.synthesis.label_maps import synthmorph_labels
from monai_synthfm.synthesis.outlines import OutlineParams, trace_outline
from monai_synthfm.transforms.organ_interiors import draw_classes, draw_core, draw_hilum, draw_sinus, draw_vessels

ORGAN = OutlineParams((0.5, 0.45), 0.25, 1.4, 2.2, ((0.05, 1.0), (0.03, 2.0)), 0.0, 0.4, False)
SEEDS = st.integers(0, 2**31 - 1)


@settings(max_examples=20)
@given(SEEDS)
def test_a_core_lies_below_a_rind(seed: int) -> None:
    core = trace_outline(draw_core(np.random.RandomState(seed), ORGAN))
    rim = trace_outline(ORGAN, samples=512)
    assert Path(rim).contains_points(core).all()
    assert cdist(core, rim).min() > 0.005


@settings(max_examples=20)
@given(SEEDS)
def test_the_hilum_is_on_the_outline_and_the_sinus_reaches_into_the_organ_from_it(seed: int) -> None:
    random = np.random.RandomState(seed)
    hilum = draw_hilum(random, ORGAN)
    assert np.hypot(*(trace_outline(ORGAN) - hilum).T).min() == 0.0
    parts = draw_sinus(random, ORGAN, hilum)
    assert 1 <= len(parts) <= 2
    for part in parts:
        from_hilum, inwards = np.asarray(part.center) - hilum, np.asarray(ORGAN.center) - hilum
        assert np.isclose(from_hilum @ inwards, np.hypot(*from_hilum) * np.hypot(*inwards))
        assert 0.15 - 1e-9 <= np.hypot(*from_hilum) / np.hypot(*inwards) <= 0.55 + 1e-9
        assert part.radius <= 0.45 * ORGAN.radius


@settings(max_examples=20)
@given(SEEDS)
def test_vessels_are_thin_and_branches_hang_together(seed: int) -> None:
    random = np.random.RandomState(seed)
    hilum = draw_hilum(random, ORGAN)
    parts = draw_vessels(random, ORGAN, hilum)
    widths = [2.0 * part.radius / np.sqrt(part.elongation) for part in parts]
    assert 0.004 - 1e-9 <= min(widths) <= max(widths) <= 0.16 * ORGAN.radius + 1e-9
    tubes = [part for part in parts if part.exponent == 3.0]
    assert len(tubes) in (0, 1, 3, 7)
    reach = [(np.asarray(part.center), part.radius * np.sqrt(part.elongation)) for part in tubes]
    for number, (center, half) in enumerate(reach):
        before = [(hilum, 0.15 * np.hypot(*(hilum - ORGAN.center)))] if number == 0 else reach[:number]
        assert min(np.hypot(*(center - other)) - half - length for other, length in before) <= 0.02


def test_patches_grow_with_the_organ() -> None:
    def cells(radius: float) -> float:
        random = np.random.RandomState(0)
        organ = OutlineParams((0.5, 0.5), radius, 1.0, 2.0, (), 0.0, 0.0, False)
        maps = [synthmorph_labels(draw_classes(random, organ, (96, 96), 3)).numpy() for _ in range(20)]
        assert {int(labels.max()) for labels in maps} <= {1, 2}
        return float(np.mean([(labels[1:] != labels[:-1]).mean() for labels in maps]))

    assert cells(0.3) < 0.7 * cells(0.06)

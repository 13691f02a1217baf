# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Colours of objects over grey images."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb

from monai_synthfm.pictures.colours import object_colour


def test_no_colour_is_grey_dark_or_used_twice() -> None:
    colours = np.array([to_rgb(object_colour(n)) for n in range(100)])
    assert np.ptp(colours, axis=1).min() > 0.3
    assert colours.max(axis=1).min() > 0.7
    assert len(np.unique(colours.round(3), axis=0)) == 100

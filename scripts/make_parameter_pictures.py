# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Draw what each parameter of the generators does: docs/parameters/NAME.png, a strip for each, from one seed.

python scripts/make_parameter_pictures.py                  # all, in a minute
python scripts/make_parameter_pictures.py --only contrast
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap
from PIL import Image

from monai_synthfm.transforms import (
    RandAcquisition,
    RandAnatomy,
    RandBezierShapes,
    RandBoundaryMask,
    RandSynthFM,
    RandSynthFM3D,
    RandSynthFMIntensity,
    RandSynthMorphLabels,
)

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "parameters"
SIZE = (160, 160)
COLORS = ListedColormap(np.concatenate([[[0, 0, 0]], plt.get_cmap("tab20").colors]))
Strip = Callable[[], list[tuple[str, np.ndarray]]]


def _labels(generator: Any, seed: int) -> torch.Tensor:
    return generator.set_random_state(seed=seed)()


def maps(kind: type, name: str, values: Sequence[Any], seed: int = 1, **fixed: Any) -> Strip:
    """Label maps with a parameter at several values."""
    made = {_short(value): kind(SIZE, **{**fixed, name: value}) for value in values}
    return lambda: [(value, np.asarray(_labels(one, seed)[0]).astype(int)) for value, one in made.items()]


def _shapes() -> torch.Tensor:
    return _labels(RandBezierShapes(SIZE, num_shapes=(5, 5), radius=(0.08, 0.25), phantom_prob=1.0), 4)


def paints(name: str, values: Sequence[Any], seed: int = 3, **fixed: Any) -> Strip:
    """The same label map painted with a parameter of the appearance at several values."""
    plain = {"num_noises": (0, 0), "texture_prob": 0.0, "blur": (0.5, 0.5), "contrast": (0.2, 0.4), **fixed}
    return lambda: [
        (_short(value), _image(RandSynthFMIntensity(**{**plain, name: value}).set_random_state(seed=seed)(_shapes())))
        for value in values
    ]


def anatomies(name: str, values: Sequence[Any], seed: int, **fixed: Any) -> Strip:
    """Anatomies with a parameter at several values, painted plainly and seen by a scanner that changes nothing."""
    plain = RandSynthFMIntensity(num_noises=(0, 0), texture_prob=0.0, blur=(0.5, 0.5), contrast=(0.1, 0.4))
    scanner = RandAcquisition(0.0, 0.0, field_prob=0.0, saturation=(0.002, 0.002), gamma=(1.0, 1.0))

    def strip() -> list[tuple[str, np.ndarray]]:
        found = []
        for value in values:
            anatomy = RandAnatomy(SIZE, **{**_ORGANS, **fixed, name: value})
            given = {"native_size": None, "intensity": plain, "anatomy": anatomy, "acquisition": scanner}
            found += samples("module", ["anatomy"], seed, **given)()
            found[-1] = (_short(value), found[-1][1])
        return found

    return strip


def scans(name: str, values: Sequence[Any], seed: int = 2, **fixed: Any) -> Strip:
    """The same image through scanners with a parameter at several values."""
    plain = {"ultrasound_prob": 0.0, "shading_prob": 0.0, "field_prob": 0.0, "saturation": (0.002, 0.002)}
    plain |= {"gamma": (1.0, 1.0), **fixed}

    def strip() -> list[tuple[str, np.ndarray]]:
        image = RandSynthFMIntensity(num_noises=(0, 1), background=(0.3, 0.4)).set_random_state(seed=6)(_shapes())
        return [
            (_short(value), _image(RandAcquisition(**{**plain, name: value}).set_random_state(seed=seed)(image)))
            for value in values
        ]

    return strip


def samples(name: str, values: Sequence[Any], seed: int = 5, **fixed: Any) -> Strip:
    """Finished images with a parameter at several values."""
    return lambda: [
        (_short(value), _image(RandSynthFM(SIZE, **{**fixed, name: value}).set_random_state(seed=seed)()[0]))
        for value in values
    ]


def _faint() -> list[tuple[str, np.ndarray]]:
    painters = {prob: RandSynthFMIntensity(faint_prob=prob) for prob in (0.0, 1.0)}
    return [
        (str(prob), samples("intensity", [painter], 9, module="anatomy")()[0][1]) for prob, painter in painters.items()
    ]


def volumes(name: str, values: Sequence[Any], seed: int = 2, **fixed: Any) -> Strip:
    """The middle slice of volumes with a parameter at several values."""
    size = (*SIZE, 8)
    return lambda: [
        (_short(value), _image(RandSynthFM3D(size, **{**fixed, name: value}).set_random_state(seed=seed)()[0][..., 4]))
        for value in values
    ]


def _image(image: torch.Tensor) -> np.ndarray:
    return np.asarray(image[0], dtype=float)


def _short(value: Any) -> str:
    """A range of one value as that value."""
    words = value if isinstance(value, tuple) else (value,)
    return ", ".join(str(word) for word in dict.fromkeys(words))


def _same(*values: float) -> list[tuple[float, float]]:
    return [(value, value) for value in values]


_NOISES = ("gaussian", "poisson", "perlin", "speckle", "rician")
_GRAINY = {"num_noises": (1, 1), "noise_strength": (0.03, 0.03), "background": (0.5, 0.5)}
_STRONG = {"num_noises": (1, 1), "noise_strength": (0.1, 0.1)}
_TEXTURED = {"texture_prob": 1.0, "texture_strength": (0.1, 0.1)}
_BIG = {"num_shapes": (3, 3), "radius": (0.16, 0.16), "phantom_prob": 0.0, "overlap": (0.0, 0.0)}
_ORGANS = {
    **dict.fromkeys(("wall_prob", "parts_prob", "pair_prob", "whole_prob", "lobes_prob", "like_prob"), 0.0),
    **dict.fromkeys(("tissue_prob", "clutter_prob", "body_prob"), 0.0),
    "num_organs": (4, 4),
    "radius": (0.1, 0.2),
    "irregularity": (0.1, 0.2),
}

STRIPS: dict[str, Strip] = {
    "module": samples("module", ["shape", "boundary", "both", "anatomy", "all"], seed=8, native_size=None),
    "native_size": samples("native_size", [(40, 40), (80, 80), (160, 160), (320, 320)], module="shape"),
    "num_shapes": maps(RandBezierShapes, "num_shapes", [(1, 1), (4, 4), (8, 8), (16, 16)], phantom_prob=0.0),
    "num_points": maps(RandBezierShapes, "num_points", [(3, 3), (5, 5), (8, 8), (12, 12)], 3, **_BIG),
    "radius": maps(RandBezierShapes, "radius", _same(0.03, 0.08, 0.15, 0.3), 3, num_shapes=(5, 5), phantom_prob=0.0),
    "elongation": maps(RandBezierShapes, "elongation", _same(1.0, 1.7, 3.0), 3, num_shapes=(5, 5), phantom_prob=0.0),
    "irregularity": maps(RandBezierShapes, "irregularity", _same(0.0, 0.4, 1.0), 3, **_BIG),
    "phantom": maps(RandBezierShapes, "phantom_prob", [0.0, 1.0], 4, num_shapes=(4, 4), radius=(0.08, 0.15)),
    "overlap": maps(RandBezierShapes, "overlap", _same(0.0, 1.0, 2.0), 5, radius=(0.12, 0.25), phantom_prob=0.0),
    "num_labels": maps(RandSynthMorphLabels, "num_labels", [(2, 2), (5, 5), (10, 10), (15, 15)]),
    "noise_scales": maps(RandSynthMorphLabels, "noise_scales", [(0.0625,), (0.125,), (0.25,), (0.5,)]),
    "warp_std": maps(RandSynthMorphLabels, "warp_std", _same(0.0, 0.03, 0.06, 0.12)),
    "eroded_fraction": maps(RandBoundaryMask, "eroded_fraction", _same(0.0, 0.3, 0.7, 1.0), iterations=(3, 3)),
    "iterations": maps(RandBoundaryMask, "iterations", [(1, 1), (3, 3), (6, 6)], eroded_fraction=(1.0, 1.0)),
    "background": paints("background", _same(0.0, 0.3, 0.6, 0.9)),
    "contrast": paints("contrast", _same(0.03, 0.1, 0.25, 0.5), noises=("gaussian",), **_GRAINY),
    "texture_strength": paints("texture_strength", _same(0.0, 0.05, 0.1), texture_prob=1.0),
    "texture_scale": paints("texture_scale", _same(0.02, 0.08, 0.3), grain_scale=(0.6, 0.6), **_TEXTURED),
    "blur": paints("blur", _same(0.0, 1.0, 2.0, 4.0)),
    "noises": paints("noises", [(name,) for name in _NOISES], background=(0.4, 0.4), **_STRONG),
    "noise_strength": paints("noise_strength", _same(0.01, 0.05, 0.1, 0.2), noises=("gaussian",), num_noises=(1, 1)),
    "num_noises": paints("num_noises", [(0, 0), (1, 1), (2, 2), (4, 4)], noise_strength=(0.06, 0.06)),
    "faint_prob": _faint,
    "num_organs": anatomies("num_organs", [(1, 1), (4, 4), (12, 12)], 7),
    "body_prob": anatomies("body_prob", [0.0, 1.0], 7, whole_prob=0.0),
    "wall_prob": anatomies("wall_prob", [0.0, 1.0], 7),
    "parts_prob": anatomies("parts_prob", [0.0, 1.0], 7),
    "pair_prob": anatomies("pair_prob", [0.0, 1.0], 7),
    "lobes_prob": anatomies("lobes_prob", [0.0, 1.0], 7),
    "like_prob": anatomies("like_prob", [0.0, 1.0], 7),
    "mixed_prob": anatomies("mixed_prob", [0.0, 1.0], 7),
    "tissue_prob": anatomies("tissue_prob", [0.0, 1.0], 7),
    "clutter_prob": anatomies("clutter_prob", [0.0, 1.0], 7),
    "ultrasound_prob": scans("ultrasound_prob", [0.0, 1.0]),
    "shading": scans("shading", _same(0.0, 0.25, 0.5), shading_prob=1.0),
    "field_prob": scans("field_prob", [0.0, 1.0], 5, ultrasound_prob=1.0),
    "saturation": scans("saturation", _same(0.001, 0.02, 0.1)),
    "gamma": scans("gamma", _same(0.6, 1.0, 1.7)),
    "preset": volumes("preset", ["ct", "mr", "us"], module="anatomy"),
    "module_3d": volumes("module", ["shape", "boundary", "anatomy"], preset="mr"),
}


def draw(pictures: list[tuple[str, np.ndarray]], output: Path) -> None:
    """Draw grey images, or label maps in colours, side by side under their values."""
    figure, axes = plt.subplots(1, len(pictures), figsize=(1.7 * len(pictures), 1.95), squeeze=False)
    for axis, (value, picture) in zip(axes[0], pictures, strict=True):
        if np.issubdtype(picture.dtype, np.integer):
            shown = np.where(picture > 0, 1 + (picture - 1) % 20, 0)
            axis.imshow(shown, cmap=COLORS, vmin=0, vmax=20, interpolation="nearest")
        else:
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
        axis.set_title(value, fontsize=9)
        axis.axis("off")
    figure.subplots_adjust(left=0.005, right=0.995, bottom=0.01, top=0.87, wspace=0.04)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=100)
    plt.close(figure)
    picture = Image.open(output).convert("RGB").quantize(80, dither=Image.Dither.NONE)
    picture.save(output, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(STRIPS), default=list(STRIPS), metavar="NAME")
    parser.add_argument("--output", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    for name in arguments.only:
        draw(STRIPS[name](), arguments.output / f"{name}.png")


if __name__ == "__main__":
    main()

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random SynthFM samples: shape-aware images, boundary-aware images, or both mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor

from monai_synthfm.synthesis.params import Params
from monai_synthfm.synthesis.synthfm import SampleParams, synthesize
from monai_synthfm.transforms.acquisition import RandAcquisition
from monai_synthfm.transforms.anatomy import RandAnatomy
from monai_synthfm.transforms.appearance import RandSynthFMIntensity
from monai_synthfm.transforms.bezier import RandBezierShapes
from monai_synthfm.transforms.boundaries import RandBoundaryMask
from monai_synthfm.transforms.generator import (
    RandGenerator,
    RandGeneratord,
    check_probability,
    check_range,
    draw_log_uniform,
)

__all__ = ["MODULES", "RandSynthFM", "RandSynthFMD", "RandSynthFMDict", "RandSynthFMd"]

MODULES = ("shape", "boundary", "both", "anatomy", "all")
"""The paper's modules, both of them mixed, this project's own, and all three mixed."""


class RandSynthFM(RandGenerator):
    """Generate a SynthFM image and its instance labels.

    Source: SynthFM, section 3.1: the shape-aware module, the boundary-aware module, and both, the three rows of its
    ablation (Table 2). How often each module is used is not given in the paper, and generating at a native size is our
    choice: scanners give 256 to 512 pixels a side, and their noise and edges look different once enlarged to a
    network's input.

    Args:
        spatial_size: height and width of the result in pixels.
        module: "shape", "boundary", or "both", which draws one of the two for each sample.
        boundary_prob: probability of the boundary-aware module with ``module="both"``.
        native_size: range of the longer side in pixels at which structure and noise are made before resampling to
            ``spatial_size``, drawn log-uniformly; None = always ``spatial_size``.
        shapes: generator of shapes; ``RandBezierShapes(spatial_size)`` if None.
        boundary: generator of boundary masks; ``RandBoundaryMask(spatial_size)`` if None.
        intensity: generator of appearances; ``RandSynthFMIntensity()`` if None.
        anatomy: generator of anatomies; ``RandAnatomy(spatial_size)`` if None.
        acquisition: random scanner that displays the images of ``module="anatomy"`` and ``"all"``;
            ``RandAcquisition()`` if None.
        anatomy_prob: probability of an anatomy with ``module="all"``.
        min_visibility: anatomies' instances that stand out less are no targets, see
            :func:`monai_synthfm.synthesis.visibility.visible_instances`; 0 keeps all.
        device: where to compute.

    Returns:
        ``__call__`` and ``replay`` return the image, a MetaTensor ``[1, H, W]`` float32 in [0, 1], and the instances
        ``[1, H, W]`` int64, 1 ... K. ``image.meta["synthfm"]`` holds the parameters as JSON text.

    Raises:
        ValueError: when ``module`` is unknown, a range is wrong, or ``min_visibility`` is negative.

    Example:
        >>> generator = RandSynthFM((64, 64), native_size=(48, 96)).set_random_state(seed=0)
        >>> image, labels = generator()
        >>> again, _ = generator.replay(image.meta["synthfm"])
        >>> image.shape, bool((image == again).all())
        (torch.Size([1, 64, 64]), True)
    """

    params_type = SampleParams

    def __init__(
        self,
        spatial_size: Sequence[int],
        module: str = "both",
        boundary_prob: float = 0.5,
        native_size: Sequence[int] | None = (192, 1024),
        shapes: RandBezierShapes | None = None,
        boundary: RandBoundaryMask | None = None,
        intensity: RandSynthFMIntensity | None = None,
        anatomy: RandAnatomy | None = None,
        acquisition: RandAcquisition | None = None,
        anatomy_prob: float = 0.6,
        min_visibility: float = 0.0,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(device)
        if module not in MODULES:
            raise ValueError(f"module must be one of {', '.join(MODULES)}, got {module!r}.")
        if len(spatial_size) != 2:
            raise ValueError(f"spatial_size must be (height, width), got {spatial_size!r}.")
        self.spatial_size = tuple(int(size) for size in spatial_size)
        self.module = module
        boundary_prob = check_probability("boundary_prob", boundary_prob)
        self.boundary_prob = {"shape": 0.0, "boundary": 1.0}.get(module, boundary_prob)
        self.native_size = None if native_size is None else check_range("native_size", native_size, low=16)
        self.shapes = shapes or RandBezierShapes(spatial_size)
        self.boundary = boundary or RandBoundaryMask(spatial_size)
        self.intensity = intensity or RandSynthFMIntensity()
        self.anatomy = anatomy or RandAnatomy(spatial_size)
        self.acquisition = acquisition or RandAcquisition()
        anatomy_prob = check_probability("anatomy_prob", anatomy_prob)
        self.anatomy_prob = {"anatomy": 1.0, "all": anatomy_prob}.get(module, 0.0)
        if min_visibility < 0.0:
            raise ValueError(f"min_visibility must be at least 0, got {min_visibility}.")
        self.min_visibility = float(min_visibility)

    def randomize(self, data: Any = None) -> None:
        """Draw module, native size, structure and appearance."""
        native = self._draw_native_size()
        generator: RandBezierShapes | RandBoundaryMask | RandAnatomy
        if self.anatomy_prob and self.R.rand() < self.anatomy_prob:
            generator = self.anatomy
            generator.randomize(native)
            self.intensity.randomize_anatomy(native, generator.params)
        elif self.R.rand() < self.boundary_prob:
            generator = self.boundary
            generator.randomize(native)
            self.intensity.randomize_canvas(native)
        else:
            generator = self.shapes
            generator.randomize(native)
            drawn = generator.params
            self.intensity.randomize_shapes(native, len(drawn.outlines), drawn.phantom is not None)
        acquisition = None
        visibility = self.min_visibility if generator is self.anatomy else 0.0
        if self.anatomy_prob:
            self.acquisition.randomize(native)
            acquisition = self.acquisition.params
        self.params = SampleParams(self.spatial_size, generator.params, self.intensity.params, acquisition, visibility)

    def _draw_native_size(self) -> tuple[int, ...]:
        if self.native_size is None:
            return self.spatial_size
        factor = draw_log_uniform(self.R, self.native_size) / max(self.spatial_size)
        return tuple(max(16, round(size * factor)) for size in self.spatial_size)

    def replay(self, params: Params | str | Mapping[str, Any]) -> tuple[MetaTensor, MetaTensor]:
        parsed = self.parse(params)
        image, labels = synthesize(parsed, self.device)
        return self.as_meta_tensor(image, parsed), self.as_meta_tensor(labels, parsed)


class RandSynthFMd(RandGeneratord):
    """Dictionary twin of :class:`RandSynthFM`: adds a generated image and its instance labels to a dictionary, which
    may be empty.

    Args:
        keys: names of image and label.
        prob: probability that an item gets them, or gets others in the place of its own.
        allow_missing_keys: without effect: keys are made, not read.
        kwargs: of :class:`RandSynthFM`.

    Raises:
        ValueError: when ``keys`` are not two names.

    Example:
        >>> sample = RandSynthFMd(("image", "label"), spatial_size=(64, 64)).set_random_state(seed=0)({})
        >>> sample["image"].shape, sample["label"].shape
        (torch.Size([1, 64, 64]), torch.Size([1, 64, 64]))
    """

    generator_type = RandSynthFM


RandSynthFMD = RandSynthFMDict = RandSynthFMd

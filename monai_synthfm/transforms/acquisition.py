# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random scanners: shading, ultrasound, field of view and display window."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor, get_track_meta
from monai.utils import convert_to_tensor

from monai_synthfm.synthesis.acquisition import AcquisitionParams, FieldOfViewParams, UltrasoundParams, acquire
from monai_synthfm.synthesis.params import Params
from monai_synthfm.transforms.generator import (
    RandGenerator,
    check_probability,
    check_range,
    draw_integer,
    draw_log_uniform,
    draw_seed,
)
from monai_synthfm.transforms.twins import RandTwin

__all__ = ["RandAcquisition", "RandAcquisitionD", "RandAcquisitionDict", "RandAcquisitiond"]


class RandAcquisition(RandGenerator):
    """Turn an image of tissue into what a random scanner displays of it.

    Source: not given in the paper; our choice, so that one network sees what CT, MR and ultrasound scanners do.

    Args:
        ultrasound_prob: probability of echoes with speckle, shadows and log compression.
        shading_prob: probability of a smooth shading like that of MR coils.
        shading: range of its strength, the standard deviation of the logarithm.
        field_prob: probability that the field of view does not fill the image: a fan for ultrasound, else a disc.
        saturation: range of the share of the brightest pixels that the display window cuts off, drawn log-uniformly.
        gamma: range of the exponent of the display curve, drawn log-uniformly.
        device: where to compute.

    Returns:
        ``__call__`` takes an image ``[1, H, W]`` of any scale from 0, such as 0 to 1 or 0 to 255, and returns a
        MetaTensor of its shape, float32 in [0, 1]; ``replay`` takes the image and the parameters.

    Raises:
        ValueError: when a range is not ordered or outside its limits, or an image has several channels or another
            number of dimensions, or holds negative numbers, NaN or infinity.

    Example:
        >>> acquisition = RandAcquisition(ultrasound_prob=1.0).set_random_state(seed=0)
        >>> acquisition(torch.rand(1, 48, 64)).shape
        torch.Size([1, 48, 64])
    """

    params_type = AcquisitionParams

    def __init__(
        self,
        ultrasound_prob: float = 0.35,
        shading_prob: float = 0.5,
        shading: Sequence[float] = (0.0, 0.5),
        field_prob: float = 0.5,
        saturation: Sequence[float] = (0.001, 0.1),
        gamma: Sequence[float] = (0.6, 1.7),
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(device)
        self.ultrasound_prob = check_probability("ultrasound_prob", ultrasound_prob)
        self.shading_prob = check_probability("shading_prob", shading_prob)
        self.shading = check_range("shading", shading, low=0.0)
        self.field_prob = check_probability("field_prob", field_prob)
        self.saturation = check_range("saturation", saturation, low=1e-6, high=0.5)
        self.gamma = check_range("gamma", gamma, low=1e-2)

    def randomize(
        self, spatial_size: Sequence[int], ultrasound_prob: float | None = None, shading_prob: float | None = None
    ) -> None:
        """Draw a scanner for images of ``spatial_size``, with other probabilities than its own where given."""
        ultrasound_prob = self.ultrasound_prob if ultrasound_prob is None else ultrasound_prob
        shading_prob = self.shading_prob if shading_prob is None else shading_prob
        side = min(spatial_size)
        extent = np.array([spatial_size[1], spatial_size[0]]) / side
        shading = None
        if self.R.rand() < shading_prob:
            cell = max(2.0, float(self.R.uniform(0.4, 1.5)) * side)
            shading = (float(self.R.uniform(*self.shading)), cell, draw_seed(self.R))
        ultrasound, field = None, None
        if self.R.rand() < ultrasound_prob:
            curved = self.R.rand() < self.field_prob
            apex = np.array([extent[0] / 2.0 + self.R.normal(0.0, 0.05), -self.R.uniform(0.0, 0.3)])
            if not curved:
                apex[1] = -20.0
            ultrasound = self._draw_ultrasound(apex, extent)
            if curved:
                half = float(self.R.uniform(0.45, 0.85))
                near = float(-apex[1] + self.R.uniform(-0.02, 0.08))
                far = float(-apex[1] + self.R.uniform(0.85, 1.1) * extent[1])
                center = (float(apex[0]), float(apex[1]))
                field = FieldOfViewParams("fan", center, (max(near, 0.0), far), (-half, half), 0.0)
        elif self.R.rand() < 0.2 * self.field_prob:
            center = (float(extent[0] / 2.0), float(extent[1] / 2.0))
            field = FieldOfViewParams("disc", center, (0.0, float(self.R.uniform(0.45, 0.6))), (0.0, 0.0), 0.0)
        high = 1.0 - draw_log_uniform(self.R, self.saturation)
        low = float(self.R.uniform(0.0, 0.02))
        self.params = AcquisitionParams(shading, ultrasound, (low, high), draw_log_uniform(self.R, self.gamma), field)

    def _draw_ultrasound(self, apex: np.ndarray, extent: np.ndarray) -> UltrasoundParams:
        shadows = []
        left, right = (float(np.arctan2(x - apex[0], extent[1] / 2.0 - apex[1])) for x in (0.0, extent[0]))
        for _ in range(draw_integer(self.R, (0, 5))):
            beam = float(self.R.uniform(left, right))
            width = draw_log_uniform(self.R, (0.02, 0.2)) * (right - left)
            depth = float(-apex[1] + self.R.uniform(0.0, 0.8) * extent[1])
            factor = float(self.R.uniform(0.02, 0.7)) if self.R.rand() < 0.75 else float(self.R.uniform(1.2, 3.0))
            shadows.append((beam, width, depth, factor))
        grain = draw_log_uniform(self.R, (0.7, 3.0))
        return UltrasoundParams(
            apex=(float(apex[0]), float(apex[1])),
            speckle=float(self.R.uniform(0.3, 1.0)),
            grain=(grain, grain * draw_log_uniform(self.R, (1.0, 3.5))),
            shadows=tuple(shadows),
            attenuation=float(self.R.uniform(-0.5, 2.0)),
            contrast=float(self.R.uniform(1.0, 3.0)),
            dynamic_range=float(self.R.uniform(35.0, 60.0)),
            seed=draw_seed(self.R),
        )

    def replay(self, image: NdarrayOrTensor, params: Params | str | Mapping[str, Any]) -> MetaTensor:
        parsed = self.parse(params)
        return self.as_meta_tensor(acquire(_tissue(image).to(self.device), parsed), parsed, image)

    def __call__(self, image: NdarrayOrTensor) -> MetaTensor:  # type: ignore[override]  # an input is needed
        self.randomize(_tissue(image).shape)
        return self.replay(image, self.params)


def _tissue(image: NdarrayOrTensor) -> torch.Tensor:
    """Return the one channel of an image as float32 ``[H, W]`` after checking what it holds."""
    plain: torch.Tensor = convert_to_tensor(image, track_meta=False)
    if plain.ndim != 3 or plain.shape[0] != 1 or plain.numel() == 0:
        raise ValueError(f"image must be one channel in 2D, [1, H, W], got shape {tuple(plain.shape)}.")
    tissue = plain[0].float()
    broken = tissue.numel() - int(tissue.isfinite().sum())
    if broken:
        raise ValueError(f"image must hold finite numbers, got {broken} NaN or infinite of {tissue.numel()} pixels.")
    if float(tissue.min()) < 0.0:
        raise ValueError(f"image must hold intensities of 0 or more, got {float(tissue.min()):g}.")
    return tissue


class RandAcquisitiond(RandTwin):
    """Dictionary twin of :class:`RandAcquisition`: one random scanner for all keys.

    Args:
        keys: images ``[1, H, W]``.
        prob: probability that the images of an item are changed.
        allow_missing_keys: leave out keys that an item does not have.
        kwargs: of :class:`RandAcquisition`.

    Example:
        >>> RandAcquisitiond("image", prob=0.5)({"image": torch.rand(1, 48, 64)})["image"].shape
        torch.Size([1, 48, 64])
    """

    generator_type = RandAcquisition

    def change(self, item: dict[Hashable, Any]) -> None:
        for number, key in enumerate(self.key_iterator(item)):
            image = item[key]
            item[key] = self.generator.replay(image, self.generator.params) if number else self.generator(image)

    def keep(self, item: dict[Hashable, Any]) -> None:
        for key in self.key_iterator(item):
            item[key] = convert_to_tensor(item[key], dtype=torch.float32, track_meta=get_track_meta())


RandAcquisitionD = RandAcquisitionDict = RandAcquisitiond

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random SynthMorph label maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor

from monai_synthfm.synthesis.label_maps import LabelMapParams, synthmorph_labels
from monai_synthfm.synthesis.params import Params
from monai_synthfm.transforms.generator import RandGenerator, RandLabelGeneratord, check_range, draw_integer, draw_seed

__all__ = [
    "RandSynthMorphLabels",
    "RandSynthMorphLabelsD",
    "RandSynthMorphLabelsDict",
    "RandSynthMorphLabelsd",
]


class RandSynthMorphLabels(RandGenerator):
    """Generate a SynthMorph label map: the arg max over smooth noise images, each warped by its own field.

    Source: SynthFM, section 3.1: 10 to 15 labels. Scales are those of the SynthMorph authors' 2D demonstration as
    fractions of the image side (noise 32 and 64, warp 16, 32 and 64, deviation 16, of 256 pixels).

    Args:
        spatial_size: two or three numbers, in pixels.
        num_labels: range of the number of labels.
        noise_scales: cell sizes of the noise as fractions of the image side.
        warp_scales: cell sizes of the warps as fractions of the image side.
        warp_std: range of the displacement's standard deviation as a fraction of the image side.
        grid_size: longest side of the grid on which noise is drawn and warped.
        device: where to compute.

    Returns:
        ``__call__`` and ``replay`` return a MetaTensor ``[1, *spatial_size]`` int64 with values 0 ... J - 1; a label
        may be absent.

    Example:
        >>> labels = RandSynthMorphLabels((64, 64)).set_random_state(seed=0)()
        >>> labels.shape, bool(labels.max() < 15)
        (torch.Size([1, 64, 64]), True)
    """

    params_type = LabelMapParams

    def __init__(
        self,
        spatial_size: Sequence[int],
        num_labels: Sequence[int] = (10, 15),
        noise_scales: Sequence[float] = (0.125, 0.25),
        warp_scales: Sequence[float] = (0.0625, 0.125, 0.25),
        warp_std: Sequence[float] = (0.01, 0.06),
        grid_size: int = 128,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(device)
        if len(spatial_size) not in (2, 3):
            raise ValueError(f"spatial_size must be two or three numbers, got {spatial_size!r}.")
        self.spatial_size = tuple(int(size) for size in spatial_size)
        self.num_labels = check_range("num_labels", num_labels, low=2, high=255)
        self.noise_scales = tuple(float(scale) for scale in noise_scales)
        self.warp_scales = tuple(float(scale) for scale in warp_scales)
        self.warp_std = check_range("warp_std", warp_std, low=0.0)
        self.grid_size = grid_size

    def randomize(self, spatial_size: Sequence[int] | None = None) -> None:
        """Draw the parameters, for another size than the constructor's if one is given."""
        self.params = LabelMapParams(
            spatial_size=self.spatial_size if spatial_size is None else tuple(int(size) for size in spatial_size),
            num_labels=draw_integer(self.R, self.num_labels),
            noise_scales=self.noise_scales,
            warp_scales=self.warp_scales,
            warp_std=float(self.R.uniform(*self.warp_std)),
            grid_size=self.grid_size,
            seed=draw_seed(self.R),
        )

    def replay(self, params: Params | str | Mapping[str, Any]) -> MetaTensor:
        parsed = self.parse(params)
        return self.as_meta_tensor(synthmorph_labels(parsed, self.device), parsed)


class RandSynthMorphLabelsd(RandLabelGeneratord):
    """Dictionary twin of :class:`RandSynthMorphLabels`: adds a SynthMorph label map to a dictionary, which
    may be empty.

    Args:
        keys: name of the label map.
        prob: probability that an item gets one, or gets another one in the place of its own.
        allow_missing_keys: without effect: the key is made, not read.
        kwargs: of :class:`RandSynthMorphLabels`.

    Raises:
        ValueError: when ``keys`` are not one name.

    Example:
        >>> RandSynthMorphLabelsd("label", spatial_size=(32, 32))({})["label"].shape
        torch.Size([1, 32, 32])
    """

    generator_type = RandSynthMorphLabels


RandSynthMorphLabelsD = RandSynthMorphLabelsDict = RandSynthMorphLabelsd

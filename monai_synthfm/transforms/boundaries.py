# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random instances separated by thin gaps: clusters of SynthMorph label maps, eroded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor

from monai_synthfm.synthesis.boundaries import BoundaryParams, boundary_instances
from monai_synthfm.synthesis.params import Params
from monai_synthfm.transforms.generator import RandGenerator, RandLabelGeneratord, check_range, draw_integer
from monai_synthfm.transforms.label_maps import RandSynthMorphLabels

__all__ = ["RandBoundaryMask", "RandBoundaryMaskD", "RandBoundaryMaskDict", "RandBoundaryMaskd"]


class RandBoundaryMask(RandGenerator):
    """Generate instances separated by thin gaps: a random subset of a SynthMorph map's clusters, each eroded a random
    number of times.

    Source: SynthFM, section 3.1 (boundary-aware module). How many clusters are eroded and how often is not given in the
    paper; our choice.

    Args:
        spatial_size: two or three numbers, in pixels.
        eroded_fraction: range of the share of clusters that are eroded.
        iterations: range of the number of erosions of a cluster, in pixels of the native size.
        label_map: generator of the label map, used at ``spatial_size`` whatever its own size;
            ``RandSynthMorphLabels(spatial_size)`` if None.
        device: where to compute; erosion and numbering run on the CPU.

    Returns:
        ``__call__`` and ``replay`` return a MetaTensor ``[1, *spatial_size]`` int64, 0 in the gaps, connected pieces
        from 1; ``> 0`` is the paper's binary mask.

    Example:
        >>> instances = RandBoundaryMask((64, 64)).set_random_state(seed=0)()
        >>> bool((instances == 0).any()), bool(instances.max() > 1)
        (True, True)
    """

    params_type = BoundaryParams

    def __init__(
        self,
        spatial_size: Sequence[int],
        eroded_fraction: Sequence[float] = (0.3, 1.0),
        iterations: Sequence[int] = (1, 6),
        label_map: RandSynthMorphLabels | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(device)
        self.eroded_fraction = check_range("eroded_fraction", eroded_fraction, low=0.0, high=1.0)
        self.iterations = check_range("iterations", iterations, low=1)
        self.label_map = label_map or RandSynthMorphLabels(spatial_size)
        self.spatial_size = tuple(int(size) for size in spatial_size)

    def randomize(self, spatial_size: Sequence[int] | None = None) -> None:
        """Draw the parameters, for another size than the constructor's if one is given."""
        self.label_map.randomize(self.spatial_size if spatial_size is None else spatial_size)
        label_map = self.label_map.params
        eroded = self.R.rand(label_map.num_labels) < self.R.uniform(*self.eroded_fraction)
        eroded[self.R.randint(label_map.num_labels)] = True
        times = [draw_integer(self.R, self.iterations) for _ in range(label_map.num_labels)]
        self.params = BoundaryParams(
            label_map, tuple(n if chosen else 0 for n, chosen in zip(times, eroded, strict=True))
        )

    def replay(self, params: Params | str | Mapping[str, Any]) -> MetaTensor:
        parsed = self.parse(params)
        return self.as_meta_tensor(boundary_instances(parsed, self.device), parsed)


class RandBoundaryMaskd(RandLabelGeneratord):
    """Dictionary twin of :class:`RandBoundaryMask`: adds instances separated by thin gaps to a dictionary, which
    may be empty.

    Args:
        keys: name of the label map.
        prob: probability that an item gets one, or gets another one in the place of its own.
        allow_missing_keys: without effect: the key is made, not read.
        kwargs: of :class:`RandBoundaryMask`.

    Raises:
        ValueError: when ``keys`` are not one name.

    Example:
        >>> RandBoundaryMaskd("label", spatial_size=(32, 32))({})["label"].shape
        torch.Size([1, 32, 32])
    """

    generator_type = RandBoundaryMask


RandBoundaryMaskD = RandBoundaryMaskDict = RandBoundaryMaskd

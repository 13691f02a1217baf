# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Partial volume: which share of a thick slice's voxel an organ fills, and the blur of slices in their plane."""

from __future__ import annotations

from collections.abc import Sequence

import torch

__all__ = ["gaussian_blur", "slice_coverage"]

_BLUR_REACH = 3.0  # standard deviations


def slice_coverage(distances: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
    r"""Share of each voxel that lies inside a surface, from signed distances on the faces between slices.

    .. math:: \alpha(z) = \frac{1}{f_1 - f_0} \int_{f_0}^{f_1} \operatorname{clamp}(f / w + 1/2, 0, 1) \, df,
        \qquad w = \sqrt{1 + 12 \sigma(z)^2}

    The distance runs linearly from one face of the slice (f_0) to the other (f_1), so that this is the mean over all
    sub-slices that a thick slice averages. The pixel and the Gaussian of standard deviation σ that blurs the mask of
    a slice act as one uniform kernel of their common variance, w² / 12 = 1 / 12 + σ².

    Args:
        distances: in pixels, positive inside, ``[*, slices + 1]``.
        sigmas: standard deviation of each slice's blur in pixels, ``[slices]``.

    Returns:
        Shares ``[*, slices]`` in [0, 1].

    Source: SynthFM-3D blurs the masks at each slice depth by a Gaussian kernel; its formula is not public. Averaging
    over the thickness of a slice is our choice.

    Example:
        >>> slanted = torch.tensor([[-2.0, 2.0], [-0.1, 0.1], [3.0, 4.0]])
        >>> [round(share, 3) for share in slice_coverage(slanted, torch.zeros(1))[:, 0].tolist()]
        [0.5, 0.5, 1.0]
    """
    scale = (1.0 + 12.0 * sigmas.square()).rsqrt()
    before = distances[..., :-1] * scale + 0.5
    after = distances[..., 1:] * scale + 0.5
    step = after - before
    flat = step.abs() < 1e-3  # there the quotient loses its digits, and the middle is the mean
    share = (_ramp_integral(after) - _ramp_integral(before)) / step.masked_fill_(flat, 1.0)
    middle = before.add_(after).mul_(0.5).clamp_(0.0, 1.0)
    return torch.where(flat, middle, share).clamp_(0.0, 1.0)


def gaussian_blur(image: torch.Tensor, sigmas: Sequence[float], axes: Sequence[int]) -> torch.Tensor:
    """Smooth with a Gaussian, the image continued by its edge pixels so that borders do not darken.

    Args:
        image: float ``[*spatial]``.
        sigmas: standard deviation in pixels, 0 = left alone; one, or one for each place along the last axis.
        axes: along which to smooth.

    Returns:
        Image of the same shape.

    Example:
        >>> dot = torch.zeros(5, 5, 2)
        >>> dot[2, 2] = 1.0
        >>> blurred = gaussian_blur(dot, (0.0, 0.5), axes=(0, 1))
        >>> bool((blurred[..., 0] == dot[..., 0]).all()), round(float(blurred[..., 1].sum()), 4)
        (True, 1.0)
    """
    reach = int(_BLUR_REACH * max(sigmas) + 0.5)
    if reach == 0:
        return image
    steps = torch.arange(-reach, reach + 1, device=image.device)[:, None]
    widths = torch.tensor(list(sigmas), device=image.device).clamp_min(1e-3)
    weights = torch.exp(-0.5 * (steps / widths).square())
    weights /= weights.sum(dim=0)
    for axis in axes:
        size = image.shape[axis]
        continued = torch.arange(-reach, size + reach, device=image.device).clamp_(0, size - 1)
        padded, image = image.index_select(axis, continued), torch.zeros_like(image)
        # shifted sums: several times faster than a convolution of a single channel
        for shift, weight in enumerate(weights):
            image.addcmul_(padded.narrow(axis, shift, size), weight)
    return image


def _ramp_integral(position: torch.Tensor) -> torch.Tensor:
    """Integral of clamp(v, 0, 1) from -infinity."""
    return position.clamp(0.0, 1.0).square_().mul_(0.5).add_((position - 1.0).relu_())

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random numbers that a seed alone decides: drawn by a CPU generator, then moved to the device that computes.

The same seed gives other numbers on a GPU than on a CPU, and other ones on another GPU. Drawing on the CPU is the price
of samples that are the same everywhere up to rounding; it is one pass over memory, and small next to the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

__all__ = ["draw_normal", "draw_uniform", "seeded_generator"]


def seeded_generator(seed: int) -> torch.Generator:
    """Return a generator on the CPU.

    Example:
        >>> torch.equal(*(torch.rand(3, generator=seeded_generator(7)) for _ in range(2)))
        True
    """
    return torch.Generator().manual_seed(seed)


def draw_normal(
    size: Sequence[int],
    generator: torch.Generator,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Draw standard normal numbers.

    Args:
        size: of the result.
        generator: draws on its own device.
        device: of the result, the generator's if None.
        dtype: of the result.

    Example:
        >>> draw_normal((2, 3), seeded_generator(0)).shape
        torch.Size([2, 3])
    """
    drawn = torch.randn(tuple(size), generator=generator, device=generator.device, dtype=dtype)
    return drawn if device is None else drawn.to(device)


def draw_uniform(
    size: Sequence[int], generator: torch.Generator, device: torch.device | str | None = None
) -> torch.Tensor:
    """Draw numbers from [0, 1).

    Args:
        size: of the result.
        generator: draws on its own device.
        device: of the result, the generator's if None.

    Example:
        >>> draw_uniform((2, 3), seeded_generator(0)).shape
        torch.Size([2, 3])
    """
    drawn = torch.rand(tuple(size), generator=generator, device=generator.device)
    return drawn if device is None else drawn.to(device)

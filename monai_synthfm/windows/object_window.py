# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A square around an object on a slice, read from slices into a grid of its own and written back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

__all__ = ["ObjectWindow"]

_SMALLEST = 12.0  # pixels


@dataclass(frozen=True)
class ObjectWindow:
    """
    A square on slices, in pixels, whose corners need not lie between pixels nor within the slice.

    Args:
        left: x of its left edge, 0 at the left edge of the slice.
        top: y of its upper edge.
        side: its length.

    Source: networks that see an object enlarged to a grid of their own are common, such as nnInteractive's zoom (arXiv
    2503.08373); the window is our choice.

    Example:
        >>> mask = torch.zeros(40, 50, dtype=torch.bool)
        >>> mask[10:30, 20:30] = True
        >>> ObjectWindow.around(mask, 2.0)
        ObjectWindow(left=5.0, top=0.0, side=40.0)
    """

    left: float
    top: float
    side: float

    @classmethod
    def around(cls, mask: torch.Tensor, factor: float) -> ObjectWindow:
        """
        Return the window with an object in its middle.

        Args:
            mask: booleans [H, W], somewhere True.
            factor: side of the window over the longer side of the object's box. No window is shorter than 12 pixels.
        """
        rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
        top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        side = max(_SMALLEST, factor * max(bottom - top, right - left))
        return cls((left + right - side) / 2, (top + bottom - side) / 2, side)

    def read(self, slices: torch.Tensor, size: int, moved: torch.Tensor | None = None) -> torch.Tensor:
        """
        Return what slices show in the window, interpolated linearly, averaged where it shrinks, and 0 beyond the slice.

        Args:
            slices: [D, C, H, W].
            size: n, side of the grid.
            moved: by how much the places that are read move, x and y [D, 2, K, K] of knots from corner to corner, in
                sides of the window; None = not at all.

        Returns:
            [D, C, n, n].
        """
        times = max(1, int(self.side / size))
        offsets = (torch.arange(size * times, device=slices.device) + 0.5) / (size * times) * self.side
        height, width = slices.shape[-2:]
        grid = _grid((self.top + offsets) / height, (self.left + offsets) / width)
        grid = grid.expand(len(slices), -1, -1, -1).to(slices)
        if moved is not None:
            way = F.interpolate(moved.to(grid), size=grid.shape[1:3], mode="bilinear", align_corners=True)
            grid = grid + way.movedim(1, -1) * (2 * self.side / grid.new_tensor([width, height]))
        found = F.grid_sample(slices, grid, align_corners=False)
        return F.avg_pool2d(found, times) if times > 1 else found

    def write(self, found: torch.Tensor, size: tuple[int, int], outside: float) -> torch.Tensor:
        """
        Return slices that show in the window what was found there, interpolated linearly.

        Args:
            found: [D, n, n] in the window.
            size: height and width of the slices.
            outside: value of pixels beyond the window.

        Returns:
            [D, H, W].
        """
        height, width = size
        rows = (torch.arange(height, device=found.device) + 0.5 - self.top) / self.side
        columns = (torch.arange(width, device=found.device) + 0.5 - self.left) / self.side
        grid = _grid(rows, columns).expand(len(found), -1, -1, -1).to(found)
        slices = F.grid_sample(found[:, None], grid, padding_mode="border", align_corners=False)[:, 0]
        inside = ((rows > 0) & (rows < 1))[:, None] & ((columns > 0) & (columns < 1))
        return torch.where(inside, slices, outside)


def _grid(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Return the grid [1, R, C, 2] of torch from places in [0, 1]."""
    y, x = torch.meshgrid(2 * rows - 1, 2 * columns - 1, indexing="ij")
    return torch.stack([x, y], dim=-1)[None]

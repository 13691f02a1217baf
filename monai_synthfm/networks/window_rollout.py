# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A network for windows in training, which meets the masks that it found itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from monai_synthfm.windows.channels import NUM_PICTURE_CHANNELS, mask_channels

__all__ = ["WindowRollout"]

_FEWEST_CELLS = 12  # of a mask that an object is carried on from
_MOST_KNOWN = 5  # slices


class WindowRollout(nn.Module):
    """
    Show a network for windows, in training, its own masks as those that are known.

    An object that is carried on is known where it was found last, with the errors of the network itself, which grow
    from window to window: masks that shrink a little, slice after slice. So the network segments some windows first,
    once or twice, without gradient. Then one to five consecutive slices on which it found the object are known by what
    it found, and no others; the mask that it shall complete stays the true one. Windows where nothing was found stay as
    they are. In evaluation nothing is changed.

    Args:
        network: takes and returns windows as :class:`~monai_synthfm.networks.window_unet.WindowUNet`.
        hops: probabilities of none, of one, of two times and so on that a window is segmented first.

    Raises:
        ValueError: when a probability is negative or they do not add up to 1.

    Source: scheduled sampling (Bengio et al., arXiv 1506.03099); for masks of windows it is our choice.

    Example:
        >>> from monai_synthfm.networks.window_unet import WindowUNet
        >>> WindowRollout(WindowUNet((4, 8, 8, 8)))(torch.zeros(1, 7, 16, 64, 64)).shape
        torch.Size([1, 1, 16, 64, 64])
    """

    def __init__(self, network: nn.Module, hops: Sequence[float] = (0.35, 0.45, 0.2)) -> None:
        super().__init__()
        if not hops or min(hops) < 0 or abs(sum(hops) - 1) > 1e-6:
            raise ValueError(f"hops must be probabilities that add up to 1, got {list(hops)}.")
        self.network = network
        self.hops = list(hops)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """
        Return logits [B, 1, D, n, n].

        Args:
            windows: [B, 7, D, n, n], see :func:`~monai_synthfm.windows.channels.window_channels`.
        """
        if self.training:
            windows = self._carried(windows)
        logits: torch.Tensor = self.network(windows)
        return logits

    @torch.no_grad()
    def _carried(self, windows: torch.Tensor) -> torch.Tensor:
        counts = torch.multinomial(torch.tensor(self.hops), len(windows), replacement=True)
        windows = windows.clone()
        for hop in range(1, len(self.hops)):
            chosen = (counts >= hop).nonzero()[:, 0]
            if len(chosen):
                found = self.network(windows[chosen])[:, 0].float().sigmoid()
                for k, masks in zip(chosen.tolist(), found, strict=True):
                    windows[k] = _known_by(windows[k], masks)
        return windows


def _known_by(window: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return a window [7, D, n, n] in which an object is known by masks [D, n, n] that were found, on slices drawn."""
    was_known = window[NUM_PICTURE_CHANNELS + 2, :, 0, 0] > 0
    usable = ((masks > 0.5).sum(dim=(1, 2)) >= _FEWEST_CELLS).cpu() & ~was_known.cpu()
    count = int(torch.randint(1, _MOST_KNOWN + 1, ()))
    runs = usable.unfold(0, count, 1).all(dim=1).nonzero()[:, 0]
    if not len(runs):
        return window
    first = int(runs[torch.randint(len(runs), ())])
    known = torch.zeros_like(was_known)
    known[first : first + count] = True
    return torch.cat([window[:NUM_PICTURE_CHANNELS], mask_channels(masks, known).to(window)])

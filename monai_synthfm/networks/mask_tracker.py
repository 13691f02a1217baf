# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects followed through a clip by a network of single images: the mask of each slice prompts the next one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from monai.utils import convert_to_tensor
from torch import nn

from monai_synthfm.networks.clip_tracker import ClipMasks
from monai_synthfm.networks.mask_prompter import MaskPrompter
from monai_synthfm.networks.preprocessing import MASK_LOGIT, as_logits
from monai_synthfm.networks.promptable import ImageEmbedding
from monai_synthfm.networks.sam_family import SamFamily
from monai_synthfm.prompts.prompts import Prompts
from monai_synthfm.utils.switches import reads_switches

__all__ = ["MaskTracker"]

# An object is there when its mask is not empty; several of the highest logits pass on more gradients than one.
_HIGHEST = 8


@reads_switches
class MaskTracker(nn.Module):
    r"""Train a decoder to go on from the mask of the neighbouring slice, on stored features of clips.

    From the prompted slice on, upwards and downwards, slice k is prompted as
    :class:`~monai_synthfm.inferers.propagation.mask_propagation.MaskPropagation` does it, by the mask of the slice
    before. In training that is, object by object, the true mask with probability ``true_prob`` and where nothing was
    found, else what was found; and where the object is not there either, the last mask that was not empty. So the
    decoder sees its own errors, and learns to answer with nothing where an object is no more. No gradient flows from
    slice to slice.

    The object score of a slice is the mean of the 8 highest logits of its mask.

    Args:
        network: whose features and decoder; a decoder that it has for carrying alone is dropped.
        slice_size: side in pixels of the square slices of a clip.
        prompter: makes the prompts of the next slice; None = the default one.
        true_prob: probability in training of going on from the true mask.

    Raises:
        ValueError: when ``true_prob`` is no probability.

    Source: not given in the papers; our choice. Going on now from the truth, now from one's own answer is scheduled
    sampling (arXiv 1506.03099).

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> tracker = MaskTracker(MobileSam(image_size=64), slice_size=48).eval()
        >>> click = {"points": torch.full((1, 2, 1, 2), 30.0), "point_labels": torch.ones(1, 2, 1)}
        >>> tracker(torch.zeros(1, 5, 256, 4, 4), **click, prompt_slice=torch.tensor([1])).shape
        torch.Size([1, 2, 48, 48, 5])
    """

    def __init__(
        self, network: SamFamily, slice_size: int, prompter: MaskPrompter | None = None, true_prob: float = 0.5
    ) -> None:
        super().__init__()
        if not 0.0 <= true_prob <= 1.0:
            raise ValueError(f"true_prob must be in [0, 1], got {true_prob}.")
        network.carry_decoder = None
        self.network = network
        self.slice_size = slice_size
        self.prompter = MaskPrompter() if prompter is None else prompter
        self.true_prob = true_prob

    def forward(
        self,
        features: torch.Tensor,
        points: torch.Tensor,
        point_labels: torch.Tensor,
        boxes: torch.Tensor | None = None,
        masks: torch.Tensor | None = None,
        prompt_slice: torch.Tensor | None = None,
        target: torch.Tensor | None = None,
    ) -> ClipMasks | torch.Tensor:
        """Follow the objects prompted on one slice of each clip.

        Args:
            features: of the slices of clips ``[B, Z, C, h, w]``, in any floating point type.
            points: clicks ``[B, N, K, 2]`` in pixels of the prompted slice, x along the first axis, y along the second.
            point_labels: ``[B, N, K]``, 1 positive, 0 negative, -1 padding.
            boxes: ``[B, N, 4]`` as x0 y0 x1 y1; a row of NaN means no box.
            masks: known masks ``[B, N, Y, X]`` of the prompted slice, above 0 inside. Clips with any True are prompted
                by them alone, the others by clicks and boxes.
            prompt_slice: ``[B]`` index of the prompted slice; the middle one if None.
            target: true masks ``[B, N, X, Y, Z]``, needed in training.

        Returns:
            in training mode :class:`ClipMasks` without candidates; else logits ``[B, N, X, Y, Z]``. Objects without any
            prompt are on no slice.

        Raises:
            ValueError: when ``target`` is missing in training, or ``prompt_slice`` is none of the clip's.
        """
        if self.training and target is None:
            raise ValueError("target, the true masks, is needed in training.")
        slices = features.shape[1]
        starts = [(slices - 1) // 2] * len(features) if prompt_slice is None else prompt_slice.tolist()
        outside = [start for start in starts if not 0 <= start < slices]
        if outside:
            raise ValueError(f"prompt_slice must be one of the {slices} slices of a clip, got {outside[0]}.")
        prompts = Prompts.from_mapping({"points": points, "point_labels": point_labels, "boxes": boxes})
        truth = None if target is None else convert_to_tensor(target, track_meta=False).transpose(2, 3) > 0
        prompted = (point_labels >= 0).any(dim=-1) | prompts.has_box
        logits = []
        for n, start in enumerate(starts):
            clip = [self._embedding(of_slice) for of_slice in features[n].float()]
            known = None if masks is None else convert_to_tensor(masks, track_meta=False)[n] > 0
            true_masks = truth[n].unbind(-1) if self.training and truth is not None else None
            logits.append(self._follow(clip, start, prompts.images([n]), prompted[n], known, true_masks))
        together = torch.stack(logits)
        if not self.training:
            return together
        return ClipMasks(together, together.flatten(2, 3).topk(_HIGHEST, dim=2).values.mean(dim=2))

    def _embedding(self, features: torch.Tensor) -> ImageEmbedding:
        size, side = (self.slice_size,) * 2, self.network.image_size
        return ImageEmbedding(features[None], original_size=size, input_size=(side, side))

    def _follow(
        self,
        clip: list[ImageEmbedding],
        start: int,
        prompts: Prompts,
        prompted: torch.Tensor,
        known: torch.Tensor | None,
        truth: tuple[torch.Tensor, ...] | None,
    ) -> torch.Tensor:
        """Return the logits ``[N, X, Y, Z]`` of one clip; ``prompted`` are the objects with a click or a box."""
        if known is not None and known.any():
            begun = as_logits(known)
        else:
            decoded = self.network.postprocess(self.network.decode(clip[start], prompts), clip[start])[0]
            begun = torch.where(prompted[:, None, None], decoded, -MASK_LOGIT)
        found = {start: begun}
        for step in (1, -1):
            stop = len(clip) if step == 1 else -1
            found |= dict(self._carry(clip, range(start, stop, step), begun, truth))
        return torch.stack([found[k] for k in range(len(clip))], dim=-1).transpose(1, 2)

    def _carry(
        self,
        clip: list[ImageEmbedding],
        way: range,
        begun: torch.Tensor,
        truth: tuple[torch.Tensor, ...] | None,
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield slice by slice after the first one of the way the logits ``[N, Y, X]``."""
        before, latest = begun.detach(), torch.full_like(begun, -MASK_LOGIT)
        for index, following in itertools.pairwise(way):
            latest = self._passed_on(before, latest, None if truth is None else truth[index])
            going = _not_empty(latest).nonzero()[:, 0]
            logits = torch.full_like(before, -MASK_LOGIT)
            if len(going):
                logits = logits.index_put((going,), self.prompter(self.network, clip[following], latest[going]))
            yield following, logits
            before = logits.detach()

    def _passed_on(self, found: torch.Tensor, latest: torch.Tensor, truth: torch.Tensor | None) -> torch.Tensor:
        """Return the masks to go on from: in inference those found, in training truth, found or the latest."""
        if truth is None:
            return found
        drawn = torch.rand(len(found)).to(found.device) < self.true_prob
        rows = (drawn | ~_not_empty(found)) & _not_empty(truth)
        chosen = torch.where(rows[:, None, None], as_logits(truth), found)
        return torch.where(_not_empty(chosen)[:, None, None], chosen, latest)


def _not_empty(masks: torch.Tensor) -> torch.Tensor:
    return (masks > 0).flatten(1).any(dim=1)

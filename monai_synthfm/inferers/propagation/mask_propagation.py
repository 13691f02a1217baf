# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects carried from slice to slice by a network of single images: each mask prompts the next slice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from scipy import ndimage

from monai_synthfm.inferers.propagation.grey_levels import GreyRange
from monai_synthfm.inferers.propagation.prompted_masks import OBJECTS_AT_ONCE, prompted_masks
from monai_synthfm.inferers.propagation.propagation import Propagation, SliceMasks
from monai_synthfm.inferers.propagation.slice_runs import Run, plan_runs
from monai_synthfm.networks.mask_prompter import MaskPrompter
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.slices.sliced_volume import SlicedVolume

__all__ = ["MaskPropagation"]


@dataclass(frozen=True)
class _Track:
    """
    What a run knows when it leaves a slice.

    Args:
        logits: [H, W] of the object on that slice.
        greys: that it may have.
    """

    logits: torch.Tensor
    greys: GreyRange


class MaskPropagation(Propagation):
    r"""
    Carry objects on by prompting each slice with the mask found on the slice before.

    An object ends on the first slice where

    - no part of the new mask M' overlaps the mask M before, all other parts being left out,
    - its area jumps, :math:`\max(|M'| / |M|, |M| / |M'|) > r`, or
    - its mean grey level is not what it was on the prompted slice, :math:`|\bar{I}(M') - \bar{I}_0| > g`.

    Between two slices on which an object is prompted, the runs meet in the middle (:func:`plan_runs`). Each object is
    carried on by itself. A mask prompt without click or box on its slice is taken as it is. Clicks correct it:
    positive ones within it are added to them (:meth:`~monai_synthfm.networks.Promptable.with_masks`).

    Source: not given in the papers; our choice. Measurements, and rules that did not help, are in
    ``docs/experiments.md``, section "What carries a mask to the next slice". The rule of areas is for leaks into tissue
    of the same grey level.

    Args:
        prompter: makes the prompts for a slice; None = the default ones.
        max_change: r, more than 1; infinity = no limit.
        max_grey_shift: g in units of the image, whose grey levels are 0 to 1; infinity = no limit, None = what suits
            the contrast of the object on the prompted slice,
            :func:`~monai_synthfm.inferers.propagation.grey_levels.allowed_shift`.

    Raises:
        ValueError: when a limit is out of its range.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> from monai_synthfm.prompts import Prompts
        >>> from monai_synthfm.slices.slice_frame import SliceFrame
        >>> slices = SlicedVolume(torch.rand(1, 20, 24, 5), SliceFrame(2), MobileSam(image_size=64).eval())
        >>> known = SlicePrompts([0], Prompts(), torch.ones(1, 24, 20, dtype=torch.bool))
        >>> [masks.index for masks in MaskPropagation()(slices, {2: known}, "none", range(5))]
        [2]
    """

    def __init__(
        self, prompter: MaskPrompter | None = None, max_change: float = 3.0, max_grey_shift: float | None = None
    ) -> None:
        if not max_change > 1:
            raise ValueError(f"max_change must be more than 1, got {max_change}.")
        if max_grey_shift is not None and not max_grey_shift > 0:
            raise ValueError(f"max_grey_shift must be more than 0, got {max_grey_shift}.")
        self.prompter = MaskPrompter() if prompter is None else prompter
        self.max_change = max_change
        self.max_grey_shift = max_grey_shift

    def __call__(
        self, slices: SlicedVolume, prompts: Mapping[int, SlicePrompts], direction: str, slice_range: range
    ) -> Iterator[SliceMasks]:
        """Segment the objects, slice after slice; see :class:`Propagation`."""
        starting: dict[tuple[int, int], list[Run]] = {}
        for run in plan_runs(prompts, direction, slice_range):
            starting.setdefault((run.start, run.object), []).append(run)
        tracks: dict[Run, _Track] = {}
        first, last = min(prompts), max(prompts)
        # Between the first and the last prompted slice objects may run both ways. Coming back right away finds most of
        # the embeddings still in a store that forgets the oldest.
        for index in range(first, last + 1):
            if index in prompts:
                for found in prompted_masks(slices, index, prompts[index]):
                    for n, logits in zip(found.objects, found.logits, strict=True):
                        if (index, n) in starting and (logits > 0).any():
                            track = self._begun(slices, index, logits)
                            tracks |= dict.fromkeys(starting[index, n], track)
                    yield found
            yield from self._follow(slices, index, 1, tracks)
        for index in range(last - 1, slice_range.start - 1, -1):
            yield from self._follow(slices, index, -1, tracks)
        for index in range(last + 1, slice_range.stop):
            yield from self._follow(slices, index, 1, tracks)

    def _follow(self, slices: SlicedVolume, index: int, step: int, tracks: dict[Run, _Track]) -> Iterator[SliceMasks]:
        """Carry all objects that arrive at a slice to it."""
        arriving = [run for run in tracks if run.slices.step == step and index in run.slices]
        for start in range(0, len(arriving), OBJECTS_AT_ONCE):
            chunk = arriving[start : start + OBJECTS_AT_ONCE]
            before = [tracks.pop(run) for run in chunk]
            logits = torch.stack([track.logits for track in before])
            kept = {}
            for run, track, new in zip(
                chunk, before, self.prompter(slices.network, slices.embedding(index), logits), strict=True
            ):
                found = _overlapping_parts(new, track.logits > 0)
                if not self._has_ended(slices, index, found > 0, track):
                    kept[run.object] = found
                    if index != run.slices[-1]:
                        tracks[run] = replace(track, logits=found)
            if kept:
                yield SliceMasks(index, list(kept), torch.stack(list(kept.values())))

    def _begun(self, slices: SlicedVolume, index: int, logits: torch.Tensor) -> _Track:
        return _Track(logits, GreyRange.of(slices.image(index)[0], logits > 0, self.max_grey_shift))

    def _has_ended(self, slices: SlicedVolume, index: int, inside: torch.Tensor, track: _Track) -> bool:
        area, before = int(inside.sum()), int((track.logits > 0).sum())
        if area == 0 or max(area / before, before / area) > self.max_change:
            return True
        return not track.greys.holds(slices.image(index)[0], inside)


def _overlapping_parts(logits: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Return logits that are negative in all 8-connected parts of the mask that nothing of the mask before lies in."""
    numbered, count = ndimage.label((logits > 0).cpu().numpy(), structure=torch.ones(3, 3).numpy())
    parts = torch.from_numpy(numbered).to(logits.device)
    touched = torch.bincount(parts[before], minlength=count + 1) > 0
    return torch.where(touched[parts.long()], logits, -logits.abs())

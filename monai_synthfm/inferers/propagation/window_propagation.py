# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects carried through a volume by a U-Net that completes their masks window by window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from monai_synthfm.bundles import bundle_path
from monai_synthfm.inferers.propagation.grey_levels import GreyRange
from monai_synthfm.inferers.propagation.prompted_masks import prompted_masks
from monai_synthfm.inferers.propagation.propagation import Propagation, SliceMasks
from monai_synthfm.inferers.propagation.slice_runs import Run, plan_runs
from monai_synthfm.networks.window_unet import WindowUNet, open_window_unet
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.slices.sliced_volume import SlicedVolume
from monai_synthfm.windows.channels import WINDOW_SIZE, WINDOW_SLICES, KnownGreys, window_channels
from monai_synthfm.windows.object_window import ObjectWindow

__all__ = ["WindowPropagation"]

_OUTSIDE = -10.0  # logit of what is beyond a window


@dataclass
class _Track:
    """
    One object on its way.

    Args:
        run: its slices.
        prompted: its masks [H, W] in [0, 1] on all slices where it is prompted.
        known: its grey levels where the run starts.
        found: its masks on the slices visited last.
        visited: how many slices of the run are done.
        allowed: mean grey levels that it may have, once the network has found it where the run starts.
    """

    run: Run
    prompted: Mapping[int, torch.Tensor]
    known: KnownGreys
    found: dict[int, torch.Tensor]
    visited: int = 0
    allowed: GreyRange | None = None

    @property
    def place(self) -> tuple[int, int, int]:
        """Where it is: both ways from one slice begin in the same window."""
        return self.run.object, self.run.start, self.visited * self.run.slices.step


@dataclass(frozen=True)
class _Window:
    """
    What the network is shown next of an object.

    Args:
        place: on the slices.
        first: index of its first slice.
        channels: [7, D, n, n].
    """

    place: ObjectWindow
    first: int
    channels: torch.Tensor


class WindowPropagation(Propagation):
    """
    Carry objects on with a network that is shown 16 slices at once, around the object alone, and where its mask is
    known.

    The network of slices segments the objects where they are prompted and is not asked for other slices, so that these
    need not be encoded. From there a window of 16 slices goes on along each run (:func:`plan_runs`): the object is
    known on the prompted slice or on the slices found last, and on every other slice of the window where it is
    prompted. What the network finds on the next slices is kept, up to one where it reaches the border of the window,
    which then moves on. An object ends on the first slice without it, and where its mean grey level is no longer that
    of what the network finds of it on the prompted slice: a prompted mask may leak where the others do not.

    Args:
        network: completes masks; None = that of the bundle ``synthfm_sam2_3d``.
        factor: side of a window over that of the box around the object where it is known.
        num_known: how many slices found last are known in the next window.
        num_kept: how many of the slices that are not known are kept.
        max_grey_shift: by how much the mean grey level of an object may differ from that on the prompted slice, in
            units of the image, whose grey levels are 0 to 1; infinity = by any, None = what suits its contrast,
            :func:`~monai_synthfm.inferers.propagation.grey_levels.allowed_shift`.
        windows_at_once: how many go through the network together.

    Raises:
        ValueError: when a number is out of its range.

    Source: not given in the papers; our choice. SynthFM-3D (arXiv 2601.12297) carries objects by SAM 2's memory.
    Measurements are in ``docs/experiments.md``, section "A U-Net for windows of volumes".

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> from monai_synthfm.prompts import Prompts
        >>> from monai_synthfm.slices.slice_frame import SliceFrame
        >>> slices = SlicedVolume(torch.rand(1, 20, 24, 5), SliceFrame(2), MobileSam(image_size=64).eval())
        >>> known = SlicePrompts([0], Prompts(), torch.ones(1, 24, 20, dtype=torch.bool))
        >>> carry = WindowPropagation(WindowUNet((4, 8, 8, 8)))
        >>> [masks.index for masks in carry(slices, {2: known}, "none", range(5))]
        [2]
    """

    def __init__(
        self,
        network: WindowUNet | None = None,
        factor: float = 1.6,
        num_known: int = 4,
        num_kept: int = 4,
        max_grey_shift: float | None = None,
        windows_at_once: int = 8,
    ) -> None:
        if not factor >= 1:
            raise ValueError(f"factor must be at least 1, got {factor}.")
        if num_known < 1 or num_kept < 1 or num_known + num_kept > WINDOW_SLICES:
            raise ValueError(
                f"num_known and num_kept must be at least 1 and together at most {WINDOW_SLICES}, got {num_known} and "
                f"{num_kept}."
            )
        if max_grey_shift is not None and not max_grey_shift > 0:
            raise ValueError(f"max_grey_shift must be more than 0, got {max_grey_shift}.")
        if windows_at_once < 1:
            raise ValueError(f"windows_at_once must be at least 1, got {windows_at_once}.")
        if network is None:
            network = open_window_unet(bundle_path("synthfm_sam2_3d") / "models" / "windows.pt")
        self._network = network.eval()
        self.factor = factor
        self.num_known = num_known
        self.num_kept = num_kept
        self.max_grey_shift = max_grey_shift
        self.windows_at_once = windows_at_once

    @property
    def weight_files(self) -> tuple[Path, ...]:
        """File of the network."""
        return self._network.weight_files

    @torch.no_grad()
    def __call__(
        self, slices: SlicedVolume, prompts: Mapping[int, SlicePrompts], direction: str, slice_range: range
    ) -> Iterator[SliceMasks]:
        """Segment the objects, slice after slice; see :class:`Propagation`."""
        runs = plan_runs(prompts, direction, slice_range)
        masks: dict[int, dict[int, torch.Tensor]] = {}
        for index in sorted(prompts):
            for found in prompted_masks(slices, index, prompts[index]):
                for n, logits in zip(found.objects, found.logits, strict=True):
                    masks.setdefault(n, {})[index] = (logits > 0).float()
                yield found
        tracks = [self._begun(slices, run, masks[run.object]) for run in runs if masks[run.object][run.start].any()]
        self._network.to(slices.volume.device)
        while tracks:
            for start in range(0, len(tracks), self.windows_at_once):
                chunk = tracks[start : start + self.windows_at_once]
                begun = {track.place: track for track in chunk}
                windows = {place: self._window(slices, track, slice_range) for place, track in begun.items()}
                logits = self._network(torch.stack([window.channels for window in windows.values()]))[:, 0].float()
                answers = dict(zip(windows, logits, strict=True))
                for track in chunk:
                    yield from self._kept(slices, track, windows[track.place], answers[track.place])
            tracks = [track for track in tracks if track.visited < len(track.run.slices)]

    def _begun(self, slices: SlicedVolume, run: Run, prompted: Mapping[int, torch.Tensor]) -> _Track:
        mask = prompted[run.start]
        window = ObjectWindow.around(mask > 0, self.factor)
        picture = slices.image(run.start)[0]
        shown = window.read(torch.stack([picture.mean(dim=0), mask])[None], WINDOW_SIZE)[0]
        return _Track(run, prompted, KnownGreys.of(*shown), {run.start: mask})

    def _window(self, slices: SlicedVolume, track: _Track, slice_range: range) -> _Window:
        """Show the network the slices that come next, and those where the object is known."""
        first = min(track.found) if track.run.slices.step > 0 else max(track.found) - WINDOW_SLICES + 1
        if not track.visited:  # what lies on the other side of the prompted slice helps
            first = track.run.start - WINDOW_SLICES // 2
        indexes = range(first, first + WINDOW_SLICES)
        masks = {index: mask for index, mask in (*track.prompted.items(), *track.found.items()) if index in indexes}
        place = ObjectWindow.around(torch.stack(list(masks.values())).amax(dim=0) > 0.5, self.factor)
        within = [min(max(index, slice_range[0]), slice_range[-1]) for index in indexes]  # as in training
        pictures = {index: slices.image(index).mean(dim=1) for index in dict.fromkeys(within)}
        empty = torch.zeros_like(track.found[max(track.found)])
        both = [
            torch.stack([pictures[k][0], masks.get(index, empty)]) for index, k in zip(indexes, within, strict=True)
        ]
        picture, mask = place.read(torch.stack(both), WINDOW_SIZE).unbind(dim=1)
        known = torch.tensor([index in masks for index in indexes], device=mask.device)
        return _Window(place, first, window_channels(picture, mask, known, track.known))

    def _kept(self, slices: SlicedVolume, track: _Track, window: _Window, logits: torch.Tensor) -> Iterator[SliceMasks]:
        """Take what was found on the next slices, up to one where the window cuts it, and go on from there."""
        coming = track.run.slices[track.visited : track.visited + self.num_kept]
        rows = [index - window.first for index in coming if index - window.first in range(WINDOW_SLICES)]
        answers = logits[rows]
        cut = [row for row, answer in enumerate(answers > 0) if _touches_border(answer)]
        count = max(1, cut[0]) if cut else len(rows)
        written = window.place.write(answers[:count], slices.size, _OUTSIDE)
        if track.allowed is None:
            track.allowed = self._allowed(slices, track, window, logits)
        for index, here in zip(coming[:count], written, strict=True):
            inside = here > 0
            if not (inside.any() and track.allowed.holds(slices.image(index)[0], inside)):
                track.visited = len(track.run.slices)
                return
            yield SliceMasks(index, [track.run.object], here[None])
            track.found[index] = here.sigmoid()
        track.visited += count
        last: Sequence[int] = sorted(track.found, reverse=track.run.slices.step > 0)[: self.num_known]
        track.found = {index: track.found[index] for index in last}

    def _allowed(self, slices: SlicedVolume, track: _Track, window: _Window, logits: torch.Tensor) -> GreyRange:
        start = track.run.start
        (found,) = window.place.write(logits[[start - window.first]], slices.size, _OUTSIDE) > 0
        inside = found if found.any() else track.found[start] > 0
        return GreyRange.of(slices.image(start)[0], inside, self.max_grey_shift)


def _touches_border(mask: torch.Tensor) -> bool:
    """Return whether a mask [n, n] reaches the border of its window."""
    return bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Segmentation of whole volumes from prompts on a few of their slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type, convert_to_tensor
from tqdm import tqdm

from monai_synthfm.embeddings.recent import RecentEmbeddings
from monai_synthfm.inferers.answer_sizes import AnswerSizes
from monai_synthfm.inferers.mask_volumes import LabelVolume, LogitVolume, MaskVolume
from monai_synthfm.inferers.propagation.choice import choose_propagation
from monai_synthfm.inferers.propagation.propagation import DIRECTIONS, Propagation
from monai_synthfm.inferers.propagation.stretches import carry_in_stretches
from monai_synthfm.networks import ImageEmbedding, Promptable
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.coordinates import check_inside
from monai_synthfm.prompts.slice_prompts import SlicePrompts, prompts_by_slice
from monai_synthfm.slices.slice_frame import SliceFrame
from monai_synthfm.slices.sliced_volume import SlicedVolume
from monai_synthfm.utils.free_memory import free_memory

__all__ = ["EmbeddingStore", "VolumeInferer"]

EmbeddingStore = Callable[[torch.Tensor, SliceFrame, Promptable], MutableMapping[int, ImageEmbedding]]
"""Gives a place for the embeddings of a volume [C, X, Y, Z] shown in a frame and encoded by a network."""

_OUTPUTS: dict[str, type[MaskVolume]] = {"labels": LabelVolume, "logits": LogitVolume}


class VolumeInferer(Inferer):
    """
    Segment objects of volumes from prompts on some of their slices.

    The volume is cut into slices; a ``propagation`` carries each object from the slices where it is prompted to the
    others. The network is shown slices of a MetaTensor as radiologists see them (:mod:`monai_synthfm.slices.planes`),
    so that the segmentation does not depend on how a volume is stored, and slices of a plain tensor with the first axis
    that is left as width and the second as height. All else counts as the given tensor does: prompts, axis,
    ``direction``, ``slice_range`` and what comes out. The network sees pixels: anisotropic spacing within a slice is
    not corrected. Where objects overlap, the voxel goes to the one with the
    larger logit. Negative clicks alone on a slice say that their object is not on it, and end it there, as boxes over
    several slices do beside these. Objects end at slices of one value, too, see
    :func:`~monai_synthfm.inferers.propagation.stretches.carry_in_stretches`.

    Args:
        propagation: how objects are carried on: a :class:`Propagation` or its name, ``windows``, ``masks`` or
            ``memory``; None = what suits the network, see
            :func:`~monai_synthfm.inferers.propagation.choice.choose_propagation`.
        direction: ``both`` goes both ways from the prompted slices, ``forward`` to higher slice indexes only,
            ``backward`` to lower ones, ``none`` segments the prompted slices alone.
        slice_range: first and last slice that may be segmented, None = all.
        keep_largest: reduce every object to its largest 26-connected part.
        output: ``labels``, or ``logits`` of each object.
        store: gives a place for the embeddings of a volume (:data:`EmbeddingStore`); None keeps the latest in half of
            the free memory of the volume's device (:class:`RecentEmbeddings`), which is enough to encode each slice
            once, unless objects are prompted on slices so far apart that the ones between do not fit.
        progress: show a progress bar with the time left.
        sizes: chooses among the alternatives that the network has for each object, and says how large they are.

    Raises:
        ValueError: when ``direction`` or ``output`` is another word.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> network = MobileSam(image_size=64).eval()
        >>> clicks = {"points": torch.tensor([[[[9.0, 9.0, 2.0]]]]), "point_labels": torch.tensor([[[1]]])}
        >>> VolumeInferer()(torch.rand(1, 1, 20, 24, 3), network, **clicks).shape
        torch.Size([1, 1, 20, 24, 3])
    """

    def __init__(
        self,
        propagation: Propagation | str | None = None,
        direction: str = "both",
        slice_range: Sequence[int] | None = None,
        keep_largest: bool = False,
        output: str = "labels",
        store: EmbeddingStore | None = None,
        progress: bool = False,
        sizes: AnswerSizes | None = None,
    ) -> None:
        if direction not in DIRECTIONS:
            raise ValueError(f"direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}.")
        if output not in _OUTPUTS:
            raise ValueError(f"output must be one of {', '.join(_OUTPUTS)}, got {output!r}.")
        self.propagation = propagation
        self.direction = direction
        self.slice_range = slice_range
        self.keep_largest = keep_largest
        self.output = output
        self.store = store
        self.progress = progress
        self.sizes = sizes

    @torch.no_grad()
    def __call__(
        self,
        inputs: torch.Tensor,
        network: Promptable,
        points: torch.Tensor | None = None,
        point_labels: torch.Tensor | None = None,
        boxes: torch.Tensor | None = None,
        masks: torch.Tensor | None = None,
        axis: int | torch.Tensor = 2,
        slice_range: Sequence[int] | torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        Segment B volumes.

        Args:
            inputs: volumes [B, C, X, Y, Z] with values in [0, 1] and C = 1 or 3; a MetaTensor with the affine of all
                of them or of each.
            network: a promptable network of 2D images.
            points: clicks [B, N, K, 3] of N objects in voxels.
            point_labels: [B, N, K], 1 positive, 0 negative, -1 padding.
            boxes: [B, N, 6] as x0 y0 z0 x1 y1 z1 in voxels, rows of NaN for no box; a box holds for every
                slice it spans. Over several slices it is around the object, which is not carried out of it.
            masks: what is known of the objects on some slices, integers [B, 1, X, Y, Z]: 1..N where an object is, 0
                elsewhere.
            axis: the axis (0, 1 or 2) across which the volumes are cut, for all of them or one for each [B].
            slice_range: first and last slice for all volumes [2] or for each [B, 2]; None = the constructor's.

        Returns:
            ``labels`` [B, 1, X, Y, Z], 0 background and 1..N objects, uint8, or int32 for more than 255 objects; or
            ``logits`` [B, N, X, Y, Z], float16, -infinity where an object was not looked for, whose
            :func:`~monai_synthfm.inferers.mask_volumes.label_map` is the same labels. A MetaTensor with the metadata
            of ``inputs`` when that is one.

        Raises:
            ValueError: when the shapes do not fit, nothing is prompted, a prompt lies on a slice that does not exist or
                is out of range, an object has only negative clicks, or is prompted where the volume shows nothing.
        """
        if inputs.ndim != 5:
            raise ValueError(f"inputs must be volumes [B, C, X, Y, Z], got shape {tuple(inputs.shape)}.")
        prompts = Prompts(points, point_labels, boxes)
        if not prompts.is_empty and not prompts.is_batched:
            raise ValueError("prompts must have the leading dimensions [B, N].")
        known = _checked_masks(masks, inputs, prompts)
        if prompts.is_empty and known is None:
            raise ValueError("nothing is prompted: give points with point_labels, boxes, or masks.")
        count = prompts.num_objects if known is None else max(prompts.num_objects, int(known.max()))
        frames = _frames(inputs, torch.as_tensor(axis).flatten().expand(len(inputs)).tolist())
        ranges = self._ranges(slice_range, [inputs.shape[2 + frame.axis] for frame in frames])
        _check_inside(prompts, inputs.shape[2:])
        found = [
            prompts_by_slice(prompts.image(b).to("cpu"), frame.axis, None if known is None else known[b, 0])
            for b, frame in enumerate(frames)
        ]
        for by_slice, allowed, frame in zip(found, ranges, frames, strict=True):
            _check_slices(by_slice, allowed, frame.axis)
        volumes = convert_to_tensor(inputs, track_meta=False)
        if self.sizes is not None:
            self.sizes.begin()
        results = []
        for volume, frame, by_slice, allowed in zip(volumes, frames, found, ranges, strict=True):
            make = _recent if self.store is None else self.store
            slices = SlicedVolume(volume, frame, network, make(volume, frame, network))
            results.append(self.segment_slices(slices, by_slice, allowed, count))
        result = results[0][None] if len(results) == 1 else torch.stack(results)  # logits of many objects are large
        return convert_to_dst_type(result, inputs, dtype=result.dtype)[0]

    def _ranges(self, given: Sequence[int] | torch.Tensor | None, sizes: list[int]) -> list[range]:
        chosen = self.slice_range if given is None else given
        if chosen is None:
            return [range(size) for size in sizes]
        pairs = torch.as_tensor(chosen)
        if pairs.shape not in ((2,), (len(sizes), 2)):
            raise ValueError(
                f"slice_range must be the first and the last slice, [2] or [B, 2], got shape {tuple(pairs.shape)}."
            )
        pairs = pairs.expand(len(sizes), 2)
        for (first, last), size in zip(pairs.tolist(), sizes, strict=True):
            if not 0 <= first <= last < size:
                raise ValueError(f"slice_range must be within slices 0 to {size - 1}, got {first} to {last}.")
        return [range(first, last + 1) for first, last in pairs.tolist()]

    @torch.no_grad()
    def segment_slices(
        self, slices: SlicedVolume, prompts: Mapping[int, SlicePrompts], slice_range: range, count: int
    ) -> torch.Tensor:
        """
        Segment objects of one volume.

        Args:
            slices: of the volume.
            prompts: on stored slices, by slice, each within ``slice_range``.
            slice_range: consecutive slices not to be left.
            count: N, the number of objects.

        Returns:
            ``labels`` [1, X, Y, Z] or ``logits`` [N, X, Y, Z], as of the whole inferer.
        """
        network, volume = slices.network, slices.volume
        propagation = choose_propagation(network, self.propagation)
        if self.sizes is not None:
            prompts = self.sizes(slices, propagation, prompts, slice_range)
        merged = _OUTPUTS[self.output](tuple(volume.shape[1:]), slices.frame.axis, count, volume.device)
        done: set[int] = set()
        with tqdm(
            total=len(_reachable(prompts, self.direction, slice_range)),
            desc="slices",
            unit="slice",
            disable=not self.progress,
        ) as bar:
            for masks in carry_in_stretches(propagation, slices, prompts, self.direction, slice_range):
                merged.add(masks)
                bar.update(masks.index not in done)
                done.add(masks.index)
            # Objects may end before the volume does.
            bar.total = bar.n
        if self.keep_largest:
            merged.keep_largest()
        return merged.values


def _recent(volume: torch.Tensor, frame: SliceFrame, network: Promptable) -> MutableMapping[int, ImageEmbedding]:
    return RecentEmbeddings(free_memory(volume.device) // 2)


def _frames(inputs: torch.Tensor, axes: list[int]) -> list[SliceFrame]:
    """Return how the slices of each volume are shown."""
    if not isinstance(inputs, MetaTensor):
        return [SliceFrame(axis) for axis in axes]
    affines = torch.as_tensor(inputs.affine).expand(len(axes), 4, 4).cpu().numpy()
    return [SliceFrame.of(affine, axis) for affine, axis in zip(affines, axes, strict=True)]


def _checked_masks(masks: torch.Tensor | None, inputs: torch.Tensor, prompts: Prompts) -> torch.Tensor | None:
    """Return masks on the CPU, or None when they hold nothing."""
    if masks is None:
        return None
    plain: torch.Tensor = convert_to_tensor(masks, track_meta=False).cpu()
    expected = (len(inputs), 1, *inputs.shape[2:])
    if plain.shape != expected or plain.is_floating_point():
        raise ValueError(
            f"masks must be integers [B, 1, X, Y, Z] = {list(expected)}, got {list(plain.shape)} of {plain.dtype}."
        )
    highest = int(plain.max())
    if not prompts.is_empty and highest > prompts.num_objects:
        values = ", ".join(map(str, plain.unique().tolist()[:5]))
        raise ValueError(
            f"masks hold object {highest}, but the other prompts speak of {prompts.num_objects} objects; their values "
            f"are {values}, where value n is object n."
        )
    return plain if highest > 0 else None


def _check_inside(prompts: Prompts, shape: Sequence[int]) -> None:
    if prompts.boxes is not None:
        for b, n in prompts.has_box.nonzero().tolist():
            for corner in prompts.boxes[b, n].cpu().numpy().reshape(2, 3):
                check_inside(f"box of object {n + 1}", corner, shape)
    if prompts.points is not None and prompts.point_labels is not None:
        for b, n, k in (prompts.point_labels >= 0).nonzero().tolist():
            check_inside(f"click {k + 1} of object {n + 1}", prompts.points[b, n, k].cpu().numpy(), shape)


def _check_slices(by_slice: Mapping[int, SlicePrompts], allowed: range, axis: int) -> None:
    if not by_slice:
        raise ValueError("nothing is prompted: no click, box or mask in the volume.")
    outside = [index for index in by_slice if index not in allowed]
    if outside:
        raise ValueError(
            f"prompts lie on slices {outside} of axis {axis}, out of slice_range {allowed[0]} to {allowed[-1]}."
        )


def _reachable(by_slice: Mapping[int, SlicePrompts], direction: str, allowed: range) -> range | list[int]:
    """Return the slices that may be segmented."""
    if direction == "none":
        return list(by_slice)
    first = allowed.start if direction in ("both", "backward") else min(by_slice)
    last = allowed[-1] if direction in ("both", "forward") else max(by_slice)
    return range(first, last + 1)

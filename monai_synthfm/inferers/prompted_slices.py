# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Segmentation of the prompted slices of a volume by a 2D promptable network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type, convert_to_tensor
from tqdm import tqdm

from monai_synthfm.data.slice_prompts import SlicePrompts, prompts_by_slice
from monai_synthfm.networks import Promptable
from monai_synthfm.prompts import Prompts

__all__ = ["PromptedSliceInferer"]


class PromptedSliceInferer(Inferer):
    """
    Segment the slices of a volume that carry prompts; all other slices stay 0.

    A slice is encoded once and all objects prompted on it are decoded from that embedding. Where objects overlap, the
    pixel goes to the one with the larger logit: ``label = 1 + argmax_n logit_n`` where the largest logit is above 0,
    else 0. The network is shown slices with the first axis that is left as width and the second as height, which is the
    radiologist's view when the volume is in the display frame (:mod:`monai_synthfm.data.planes`). It sees pixels:
    anisotropic spacing within a slice is not corrected.

    Args:
        slice_batch_size: number of slices encoded together. More than 1 pays on a GPU and costs memory.
        progress: show a progress bar with the time left.

    Raises:
        ValueError: when ``slice_batch_size`` is less than 1.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> network = MobileSam(image_size=64).eval()
        >>> clicks = {"points": torch.tensor([[[[9.0, 9.0, 2.0]]]]), "point_labels": torch.tensor([[[1]]])}
        >>> PromptedSliceInferer()(torch.rand(1, 1, 20, 24, 3), network, **clicks).shape
        torch.Size([1, 1, 20, 24, 3])
    """

    def __init__(self, slice_batch_size: int = 1, progress: bool = False) -> None:
        if slice_batch_size < 1:
            raise ValueError(f"slice_batch_size must be 1 or more, got {slice_batch_size}.")
        self.slice_batch_size = slice_batch_size
        self.progress = progress

    @torch.no_grad()
    def __call__(
        self,
        inputs: torch.Tensor,
        network: Promptable,
        points: torch.Tensor | None = None,
        point_labels: torch.Tensor | None = None,
        boxes: torch.Tensor | None = None,
        axis: int | torch.Tensor = 2,
    ) -> torch.Tensor:
        """
        Segment B volumes.

        Args:
            inputs: volumes [B, C, X, Y, Z] with values in [0, 1] and C = 1 or 3.
            network: a promptable network of 2D images.
            points: clicks [B, N, K, 3] of N objects in voxels.
            point_labels: [B, N, K], 1 positive, 0 negative, -1 padding.
            boxes: [B, N, 6] as x0 y0 z0 x1 y1 z1 in voxels, rows of NaN for no box; a box holds for every
                slice it spans.
            axis: the axis (0, 1 or 2) across which the volumes are cut, for all of them or one for each [B].

        Returns:
            Label maps [B, 1, X, Y, Z], 0 background and 1..N objects; uint8, or int32 for more than 255 objects. A
            MetaTensor with the metadata of ``inputs`` when that is one.

        Raises:
            ValueError: when the shapes do not fit, nothing is prompted, a prompt lies on a slice that does not exist,
                or an object has only negative clicks on a slice.
        """
        if inputs.ndim != 5:
            raise ValueError(f"inputs must be volumes [B, C, X, Y, Z], got shape {tuple(inputs.shape)}.")
        prompts = Prompts(points, point_labels, boxes)
        if prompts.is_empty:
            raise ValueError("nothing is prompted: give points with point_labels, or boxes.")
        if not prompts.is_batched:
            raise ValueError("prompts must have the leading dimensions [B, N].")
        axes = torch.as_tensor(axis).flatten().expand(len(inputs)).tolist()
        found = [prompts_by_slice(_of_image(prompts, b), axes[b]) for b in range(len(inputs))]
        for by_slice, size in zip(found, (inputs.shape[2 + a] for a in axes), strict=True):
            outside = [index for index in by_slice if not 0 <= index < size]
            if outside:
                raise ValueError(f"prompts lie on slices {outside}, but the volume has {size} slices.")
        volumes = convert_to_tensor(inputs, track_meta=False)
        labels = torch.zeros(
            (len(inputs), 1, *inputs.shape[2:]),
            dtype=torch.uint8 if prompts.num_objects <= 255 else torch.int32,
            device=inputs.device,
        )
        with tqdm(total=sum(map(len, found)), desc="slices", unit="slice", disable=not self.progress) as bar:
            for b, by_slice in enumerate(found):
                self._segment(volumes[b], labels[b, 0], network, by_slice, axes[b], bar)
        return convert_to_dst_type(labels, inputs, dtype=labels.dtype)[0]

    def _segment(
        self,
        volume: torch.Tensor,
        labels: torch.Tensor,
        network: Promptable,
        by_slice: dict[int, SlicePrompts],
        axis: int,
        bar: Any,
    ) -> None:
        indexes = list(by_slice)
        for start in range(0, len(indexes), self.slice_batch_size):
            chunk = indexes[start : start + self.slice_batch_size]
            images = torch.stack([volume.select(axis + 1, index).transpose(-1, -2) for index in chunk])
            embeddings = network.encode(images)
            for position, index in enumerate(chunk):
                embedding = replace(embeddings, features=embeddings.features[position : position + 1])
                here = by_slice[index]
                logits = network.postprocess(
                    network.decode(embedding, here.prompts.to(volume.device).batched()), embedding
                )
                best, winner = logits[0].max(dim=0)
                numbers = torch.tensor(here.objects, device=volume.device) + 1
                label = numbers[winner].where(best > 0, 0).to(labels.dtype)
                labels.select(axis, index).copy_(label.transpose(-1, -2))
                bar.update()


def _of_image(prompts: Prompts, b: int) -> Prompts:
    given = (prompts.points, prompts.point_labels, prompts.boxes)
    return Prompts(*(None if value is None else value[b].cpu() for value in given))

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Objects segmented on the slices where they are prompted."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from monai_synthfm.inferers.propagation.propagation import SliceMasks
from monai_synthfm.networks.preprocessing import as_logits
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.slices.sliced_volume import SlicedVolume

__all__ = ["OBJECTS_AT_ONCE", "prompted_masks"]

OBJECTS_AT_ONCE = 16
"""Bounds the memory that masks of full size take while many objects are decoded."""


def prompted_masks(slices: SlicedVolume, index: int, here: SlicePrompts) -> Iterator[SliceMasks]:
    """
    Segment the objects prompted on a slice; a mask without click and box is taken as it is.

    Args:
        slices: of the volume.
        index: of the slice.
        here: its prompts.

    Yields:
        masks of some of the objects at a time.
    """
    empty = torch.zeros(len(here.objects), *slices.size, dtype=torch.bool)
    masks = empty if here.masks is None else here.masks
    rows = list(range(len(here.objects)))
    known = [k for k in rows if masks[k].any()]
    taken = [k for k in known if not here.prompts.has_click_or_box(k)]
    for kind in (taken, [k for k in known if k not in taken], [k for k in rows if k not in known]):
        for start in range(0, len(kind), OBJECTS_AT_ONCE):
            chunk = kind[start : start + OBJECTS_AT_ONCE]
            drawn = masks[chunk].to(slices.volume.device)
            if kind is taken:
                logits = as_logits(drawn)
            else:
                logits = _decode(slices, index, here.prompts.objects(chunk), drawn if kind[0] in known else None)
            yield SliceMasks(index, [here.objects[k] for k in chunk], logits)


def _decode(slices: SlicedVolume, index: int, prompts: Prompts, masks: torch.Tensor | None) -> torch.Tensor:
    network, embedding = slices.network, slices.embedding(index)
    prompts = prompts.to(slices.volume.device)
    if masks is not None:
        prompts = network.with_masks(prompts, masks, embedding, slices.image(index))
    return network.postprocess(network.decode(embedding, prompts.batched()), embedding)[0]

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random prompts on one slice of a clip, for training networks that carry objects on to the other slices."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_tensor

from monai_synthfm.transforms.generator import check_probability
from monai_synthfm.transforms.label_values import whole_labels
from monai_synthfm.transforms.prompts import RandPrompts, RandPromptsd, target_like
from monai_synthfm.transforms.random_state import SharedRandomizable

__all__ = ["PromptSlice", "RandClipPrompts", "RandClipPromptsD", "RandClipPromptsDict", "RandClipPromptsd"]

PromptSlice = Literal["first", "middle", "any"]


class RandClipPrompts(SharedRandomizable, Transform):
    """Choose a slice of a clip, prompt objects that it holds, and follow them through all slices.

    A clip is a volume with its slices along the last axis. Only slices with an object whose area is in the
    ``area_range`` of ``prompts`` come into question, or, when there is none, slices with any object. All objects of a
    clip are prompted in the same manner, either as ``prompts`` says or by their masks, as in SAM 2's own training.
    The paper's training prompts are not given; all defaults are our choice.

    Args:
        prompts: chooses and prompts the objects of the slice; ``RandPrompts()`` if None.
        prompt_slice: ``"first"`` slice that comes into question, the one nearest to the ``"middle"`` of the clip (the
            earlier of two), or ``"any"``, all with the same probability.
        mask_prob: probability of mask prompts.

    Raises:
        ValueError: when an argument is out of its range.

    Source: "objects prompted on one frame" is SAM 2's training (arXiv 2408.00714, section 4); not given for SynthFM-3D.

    Example:
        >>> label = torch.zeros(1, 32, 24, 6, dtype=torch.int32)
        >>> label[0, 8:20, 6:15, 2:] = 1
        >>> clip = RandClipPrompts(RandPrompts(num_objects=2), "first").set_random_state(seed=0)(label)
        >>> int(clip["prompt_slice"]), {key: tuple(value.shape) for key, value in clip.items() if value.ndim > 2}
        (2, {'target': (2, 32, 24, 6), 'points': (2, 5, 2), 'masks': (2, 24, 32)})
    """

    backend: ClassVar[list[TransformBackends]] = [TransformBackends.TORCH]

    def __init__(
        self, prompts: RandPrompts | None = None, prompt_slice: PromptSlice = "any", mask_prob: float = 0.0
    ) -> None:
        if prompt_slice not in get_args(PromptSlice):
            raise ValueError(f"prompt_slice must be one of {list(get_args(PromptSlice))}, got {prompt_slice!r}.")
        self.prompts = prompts or RandPrompts()
        self.prompt_slice = prompt_slice
        self.mask_prob = check_probability("mask_prob", mask_prob)
        self.by_mask = False

    def randomize(self, label: torch.Tensor) -> int:
        """Draw the slice of ``[1, X, Y, Z]`` to prompt and the manner, and return the slice."""
        candidates = self._candidates(label)
        self.by_mask = self.R.rand() < self.mask_prob
        if self.prompt_slice == "any":
            return int(self.R.choice(candidates))
        aim = 0.0 if self.prompt_slice == "first" else (label.shape[-1] - 1) / 2
        return int(candidates[np.abs(candidates - aim).argmin()])

    def _candidates(self, label: torch.Tensor) -> np.ndarray:
        low, high = self.prompts.area_range
        usable, occupied = [], []
        for index, instances in enumerate(label[0].unbind(-1)):
            areas = instances[instances > 0].unique(return_counts=True)[1] / instances.numel()
            if len(areas):
                occupied.append(index)
            if ((areas >= low) & (areas <= high)).any():
                usable.append(index)
        return np.array(usable or occupied or range(label.shape[-1]))

    def __call__(self, label: NdarrayOrTensor) -> dict[str, torch.Tensor]:
        """Prompt objects of a clip.

        Args:
            label: instances ``[1, X, Y, Z]``, 0 background, 1..K objects.

        Returns:
            ``target``, a MetaTensor of uint8 masks ``[N, X, Y, Z]``; ``prompt_slice`` int64; and, in pixels of that
            slice with x along the first axis of the clip and y along the second, ``points`` ``[N, K, 2]``,
            ``point_labels`` ``[N, K]`` and ``boxes`` ``[N, 4]`` as :class:`RandPrompts` returns them and ``masks`` bool
            ``[N, Y, X]``, without any True in clips that are not prompted by masks. In those that are, no click and no
            box is valid.

        Raises:
            ValueError: when the label map is not ``[1, X, Y, Z]`` whole numbers, or has no object and ``prompts`` do
                not allow that.
        """
        if label.ndim != 4 or label.shape[0] != 1:
            raise ValueError(f"label must be an instance label map [1, X, Y, Z], got shape {tuple(label.shape)}.")
        volume = whole_labels("label", label)
        if self.prompts.target == "foreground":
            volume = (volume > 0).to(torch.uint8)
        index = self.randomize(volume)
        prompted = self.prompts(volume[..., index].mT)
        masks = convert_to_tensor(prompted.pop("target"), track_meta=False) > 0
        if self.by_mask and masks.any():
            prompted["point_labels"].fill_(-1)
            prompted["boxes"].fill_(torch.nan)
        else:
            masks.zero_()
        ids = torch.as_tensor(self.prompts.ids, device=volume.device)[:, None, None, None]
        return {
            "target": target_like(label, (volume == ids) & (ids > 0)),
            "prompt_slice": torch.tensor(index),
            **prompted,
            "masks": masks,
        }


class RandClipPromptsd(RandPromptsd):
    """Dictionary twin of :class:`RandClipPrompts`: adds what it returns to the item.

    Let all spatial transforms come before it, as before :class:`~monai_synthfm.transforms.RandPromptsd`.

    Args:
        keys: the key of the instance label map; exactly one.
        target_key: where the masks of the prompted objects go; the label map's own key replaces it.
        prompt_slice: see :class:`RandClipPrompts`.
        mask_prob: see :class:`RandClipPrompts`.
        allow_missing_keys: leave items without that key as they are.
        kwargs: arguments of :class:`RandPrompts`.

    Raises:
        ValueError: when there is not exactly one key.

    Example:
        >>> item = {"label": torch.ones(1, 16, 16, 4, dtype=torch.uint8)}
        >>> sorted(RandClipPromptsd(keys="label", area_range=(0.1, 1.0))(item))
        ['boxes', 'label', 'masks', 'point_labels', 'points', 'prompt_slice', 'target']
    """

    generator_type = RandClipPrompts
    options_type = RandPrompts

    def __init__(
        self,
        keys: KeysCollection = "label",
        target_key: Hashable = "target",
        prompt_slice: PromptSlice = "any",
        mask_prob: float = 0.0,
        allow_missing_keys: bool = False,
        **kwargs: Any,
    ) -> None:
        options = {"prompts": RandPrompts(**kwargs), "prompt_slice": prompt_slice, "mask_prob": mask_prob}
        super().__init__(keys, target_key, allow_missing_keys, **options)


RandClipPromptsD = RandClipPromptsDict = RandClipPromptsd

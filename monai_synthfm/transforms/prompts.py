# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random prompts for training: which objects of a label map are asked for, and by which clicks and boxes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import product
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor, get_track_meta
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_numpy, convert_to_tensor
from scipy import ndimage

from monai_synthfm.prompts import BoxSimulator, ClickSimulator, Prompts
from monai_synthfm.transforms.label_values import whole_labels
from monai_synthfm.transforms.random_state import SharedRandomizable
from monai_synthfm.transforms.twins import RandTwin

__all__ = ["RandPrompts", "RandPromptsD", "RandPromptsDict", "RandPromptsd", "target_like"]

PROMPT_KINDS = ("clicks", "box", "both")


class RandPrompts(SharedRandomizable, Transform):
    """Choose objects of an instance label map and prompt each of them with clicks, a box, or both.

    Objects are drawn among the instances whose area is in ``area_range``, uniformly and without replacement, or with a
    probability that grows with their area. With fewer of these than ``num_objects`` they are used again with fresh
    clicks; with none, the instance whose area is nearest to the range (in ratio) is taken. Clicks follow
    :class:`monai_synthfm.prompts.ClickSimulator`, boxes :class:`monai_synthfm.prompts.BoxSimulator`. The paper's
    training prompts are not given; all defaults are our choice.

    Args:
        num_objects: N, the number of prompted objects per image.
        target: what one object is: an ``"instance"`` of the label map, or the whole ``"foreground"`` (any label above
            0), which is then clicked on in all its parts unless ``click_options`` say otherwise.
        num_positive: smallest and largest number of positive clicks on an object.
        num_negative: smallest and largest number of negative clicks on an object.
        click_pairs: the (positive, negative) counts to draw from with equal probability, for instance
            :data:`monai_synthfm.prompts.PAPER_CLICK_PAIRS`; None for every pair within the two ranges.
        prompt_weights: relative frequency of ``"clicks"``, ``"box"`` and ``"both"``; kinds left out have weight 0.
        area_range: smallest and largest area of an object as a fraction of the image's.
        area_power: with a number p above 0 objects are drawn with replacement and a probability proportional to the
            p-th power of their area, because large objects are few where small ones are many.
        click_options: further arguments of ``ClickSimulator``.
        box_options: arguments of ``BoxSimulator``.
        allow_empty: for a label map without any object, return empty targets, each with one negative click at a
            uniformly drawn pixel, instead of raising.
        click_target: what clicks alone ask for: the whole ``"object"``, or the ``"piece"`` of it that they lie on.
            Boxes always ask for the whole.

    Raises:
        ValueError: when an argument is out of its range.

    Example:
        >>> label = torch.zeros(1, 64, 64, dtype=torch.int32)
        >>> label[0, 8:24, 8:24], label[0, 40:60, 30:50] = 1, 2
        >>> prompts = RandPrompts(num_objects=2).set_random_state(seed=0)(label)
        >>> {key: tuple(value.shape) for key, value in prompts.items()}
        {'target': (2, 64, 64), 'points': (2, 5, 2), 'point_labels': (2, 5), 'boxes': (2, 4)}
    """

    backend: ClassVar[list[TransformBackends]] = [TransformBackends.TORCH, TransformBackends.NUMPY]

    def __init__(
        self,
        num_objects: int = 1,
        target: Literal["instance", "foreground"] = "instance",
        num_positive: tuple[int, int] = (1, 3),
        num_negative: tuple[int, int] = (0, 2),
        click_pairs: Sequence[tuple[int, int]] | None = None,
        prompt_weights: Mapping[str, float] | None = None,
        area_range: tuple[float, float] = (1e-4, 0.9),
        area_power: float = 0.0,
        click_options: Mapping[str, Any] | None = None,
        box_options: Mapping[str, Any] | None = None,
        allow_empty: bool = False,
        click_target: Literal["object", "piece"] = "object",
    ) -> None:
        if num_objects < 1:
            raise ValueError(f"num_objects must be at least 1, got {num_objects}.")
        if target not in ("instance", "foreground"):
            raise ValueError(f"target must be 'instance' or 'foreground', got {target!r}.")
        if click_target not in ("object", "piece"):
            raise ValueError(f"click_target must be 'object' or 'piece', got {click_target!r}.")
        if not 0 <= area_range[0] < area_range[1]:
            raise ValueError(f"area_range must be two increasing fractions of the image area, got {area_range}.")
        if area_power < 0:
            raise ValueError(f"area_power must be at least 0, got {area_power}.")
        self.num_objects = num_objects
        self.target = target
        self.click_target = click_target
        self.area_range = area_range
        self.area_power = area_power
        self.allow_empty = allow_empty
        self.kind_probabilities = self._normalise({"clicks": 1.0} if prompt_weights is None else prompt_weights)
        pairs = click_pairs if click_pairs is not None else self._pairs_within(num_positive, num_negative)
        if not pairs:
            raise ValueError("click_pairs must hold at least one (positive, negative) pair.")
        options = {"largest_component": target == "instance", **(click_options or {})}
        if click_target == "piece" and not options["largest_component"]:
            raise ValueError("click_target 'piece' needs clicks on one piece: set largest_component in click_options.")
        self.max_clicks = max(positive + negative for positive, negative in pairs)
        self.clickers = [ClickSimulator(*pair, pad_to=self.max_clicks, **options) for pair in pairs]
        self.boxer = BoxSimulator(**(box_options or {}))
        self.ids = np.zeros(0, dtype=np.int64)
        self.clicked: dict[int, tuple[int, int]] = {}
        self.prompts = Prompts()

    @staticmethod
    def _normalise(weights: Mapping[str, float]) -> np.ndarray:
        unknown = set(weights) - set(PROMPT_KINDS)
        values = np.array([weights.get(kind, 0.0) for kind in PROMPT_KINDS], dtype=np.float64)
        if unknown or (values < 0).any() or not values.sum() > 0:
            raise ValueError(
                f"prompt_weights must map some of {PROMPT_KINDS} to weights that are not all 0, got {dict(weights)}."
            )
        return values / values.sum()

    @staticmethod
    def _pairs_within(num_positive: tuple[int, int], num_negative: tuple[int, int]) -> list[tuple[int, int]]:
        for name, (low, high) in (("num_positive", num_positive), ("num_negative", num_negative)):
            if low > high:
                raise ValueError(f"{name} must be (smallest, largest), got {(low, high)}.")
        counts = [range(low, high + 1) for low, high in (num_positive, num_negative)]
        return list(product(counts[0], counts[1]))

    def randomize(self, label: NdarrayOrTensor) -> None:
        """Draw the objects and their prompts for a label map ``[1, H, W]``."""
        instances = self._instances(label)
        self.ids = self._draw_ids(instances)
        points = np.zeros((self.num_objects, self.max_clicks, 2), dtype=np.float32)
        labels = np.full(points.shape[:2], -1, dtype=np.int64)
        boxes = np.full((self.num_objects, 4), np.nan, dtype=np.float32)
        self.clicked = {}
        for index, number in enumerate(self.ids):
            if number == 0:
                height, width = instances.shape
                points[index, 0], labels[index, 0] = (self.R.randint(width), self.R.randint(height)), 0
                continue
            mask = instances == number
            kind = PROMPT_KINDS[self.R.choice(len(PROMPT_KINDS), p=self.kind_probabilities)]
            if kind != "box":
                clicker = self.clickers[self.R.randint(len(self.clickers))]
                points[index], labels[index] = clicker(mask, self.R)
            if kind != "clicks":
                boxes[index] = self.boxer(mask, self.R)
            if kind == "clicks" and self.click_target == "piece":
                self.clicked[index] = (int(points[index, 0, 0]), int(points[index, 0, 1]))
        self.prompts = Prompts(torch.from_numpy(points), torch.from_numpy(labels), torch.from_numpy(boxes))

    def _instances(self, label: NdarrayOrTensor) -> np.ndarray:
        if label.ndim != 3 or label.shape[0] != 1:
            raise ValueError(f"label must be an instance label map [1, H, W], got shape {tuple(label.shape)}.")
        instances: np.ndarray = convert_to_numpy(whole_labels("label", label)[0])
        return (instances > 0).astype(np.int64) if self.target == "foreground" else instances

    def _draw_ids(self, instances: np.ndarray) -> np.ndarray:
        ids, areas = np.unique(instances, return_counts=True)
        ids, shares = ids[ids > 0], areas[ids > 0] / instances.size
        if ids.size == 0:
            if not self.allow_empty:
                raise ValueError("label holds no object to prompt; set allow_empty=True to get empty targets.")
            return np.zeros(self.num_objects, dtype=np.int64)
        low, high = self.area_range
        violation = np.maximum(low / shares, shares / high)
        fitting = violation <= max(1.0, violation.min())
        usable = ids[fitting]
        if self.area_power:
            weights = shares[fitting] ** self.area_power
            return self.R.choice(usable, size=self.num_objects, p=weights / weights.sum())
        rounds = -(-self.num_objects // usable.size)
        return np.concatenate([self.R.permutation(usable) for _ in range(rounds)])[: self.num_objects]

    def __call__(self, label: NdarrayOrTensor, randomize: bool = True) -> dict[str, torch.Tensor]:
        """Prompt the objects of a label map.

        Args:
            label: instances ``[1, H, W]``, 0 background, 1..K objects.
            randomize: False to use the objects and prompts of the call before.

        Returns:
            ``target``, a MetaTensor of uint8 masks ``[N, H, W]`` that lies where the label map lies, ``points`` float32
            ``[N, K, 2]`` (pixels, x first), ``point_labels`` int64 ``[N, K]`` (1, 0, -1 padding) with K the largest
            number of clicks possible, and ``boxes`` float32 ``[N, 4]`` (x0 y0 x1 y1) with a row of NaN for no box.

        Raises:
            RuntimeError: when ``randomize`` is False in the first call.
            ValueError: when the label map is not ``[1, H, W]`` whole numbers, or has no object and ``allow_empty`` is
                False.
        """
        if randomize:
            self.randomize(label)
        elif self.prompts.is_empty:
            raise RuntimeError("there are no prompts to use again; call with randomize=True first.")
        ids = self.ids[:, None, None]
        target = (self._instances(label)[None] == ids) & (ids > 0)
        for index, (x, y) in self.clicked.items():
            pieces, _ = ndimage.label(target[index], structure=np.ones((3, 3)))
            target[index] &= pieces == pieces[y, x]
        device = label.device if isinstance(label, torch.Tensor) else torch.device("cpu")
        prompts = self.prompts.to(device)
        return {
            "target": target_like(label, torch.from_numpy(target)),
            "points": prompts.points,
            "point_labels": prompts.point_labels,
            "boxes": prompts.boxes,
        }


def target_like(label: NdarrayOrTensor, masks: torch.Tensor) -> Any:
    """Return masks as uint8 where their label map lies: on its device and with its affine, as MONAI's transforms do."""
    target = MetaTensor(masks.to(torch.uint8))
    if isinstance(label, MetaTensor):
        target.copy_meta_from(label)
    device = label.device if isinstance(label, torch.Tensor) else None
    return convert_to_tensor(target, device=device, track_meta=get_track_meta())


class RandPromptsd(RandTwin):
    """Dictionary twin of :class:`RandPrompts`: adds ``target``, ``points``, ``point_labels`` and ``boxes`` to the item.

    Points and boxes are pixels of the label map that they are drawn on. Let all spatial transforms come before: a flip
    or crop after it would move the target and leave points and boxes where they are.

    Args:
        keys: the key of the instance label map; exactly one.
        target_key: where the masks of the prompted objects go; the label map's own key replaces it.
        allow_missing_keys: leave items without that key as they are.
        kwargs: arguments of :class:`RandPrompts`.

    Raises:
        ValueError: when there is not exactly one key.

    Example:
        >>> item = {"label": np.eye(16, dtype=np.uint8)[None]}
        >>> sorted(RandPromptsd(keys="label", num_objects=3)(item))
        ['boxes', 'label', 'point_labels', 'points', 'target']
    """

    generator_type: ClassVar[Callable[..., Any]] = RandPrompts

    def __init__(
        self,
        keys: KeysCollection = "label",
        target_key: Hashable = "target",
        allow_missing_keys: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(keys, 1.0, allow_missing_keys, **kwargs)
        if len(self.keys) != 1:
            raise ValueError(f"keys must name the one instance label map, got {self.keys}.")
        self.target_key = target_key

    def change(self, item: dict[Hashable, Any]) -> None:
        for key in self.key_iterator(item):
            prompted = self.generator(item[key])
            item[self.target_key] = prompted.pop("target")
            item.update(prompted)


RandPromptsD = RandPromptsDict = RandPromptsd

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The plain data that says which objects to segment: clicks, boxes and mask logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from monai.utils import convert_to_tensor
from torch.nn.utils.rnn import pad_sequence

from monai_synthfm.prompts.tracing import int_sizes, is_traced

__all__ = ["PROMPT_KEYS", "Prompts"]

PROMPT_KEYS = ("points", "point_labels", "boxes", "masks")


@dataclass(frozen=True)
class Prompts:
    """Clicks, boxes and mask logits of N objects in one image, or in each of B images.

    Every field has the leading dimensions ``[N, ...]`` or ``[B, N, ...]``, the same for all fields given. Coordinates
    are pixels (voxels) of the image that the prompts belong to, x first, where an integer is the centre of that pixel.

    Args:
        points: clicks ``[(B,) N, K, D]`` with D = 2 (x, y) or 3 (x, y, z).
        point_labels: ``[(B,) N, K]``, 1 positive, 0 negative, -1 padding. Required with ``points``.
        boxes: ``[(B,) N, 2 * D]`` as x0 y0 x1 y1 (or x0 y0 z0 x1 y1 z1), corners inside the box; a row of NaN means "no
            box for this object".
        masks: low-resolution mask logits ``[(B,) N, 1, h, w]``.

    Raises:
        ValueError: when a shape, a label value or a coordinate is not as above.

    Example:
        >>> prompts = Prompts(points=torch.tensor([[[12.0, 30.0]]]), point_labels=torch.tensor([[1]]))
        >>> prompts.num_objects, prompts.is_batched
        (1, False)
    """

    points: torch.Tensor | None = None
    point_labels: torch.Tensor | None = None
    boxes: torch.Tensor | None = None
    masks: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if (self.points is None) != (self.point_labels is None):
            raise ValueError("points and point_labels must be given together.")
        lead = {
            name: int_sizes(value.shape[: value.ndim - rank])
            for name, value, rank in self._ranked()
            if value.ndim >= rank
        }
        for name, value, rank in self._ranked():
            if value.ndim - rank not in (1, 2):
                raise ValueError(
                    f"{name} must have {rank + 1} or {rank + 2} dimensions, got shape {tuple(value.shape)}."
                )
        if len(set(lead.values())) > 1:
            raise ValueError(f"all prompts must describe the same objects, got leading shapes {lead}.")
        if self.points is not None and self.point_labels is not None:
            self._check_points(self.points, self.point_labels)
        if self.boxes is not None:
            self._check_boxes(self.boxes)
        if self.points is not None and self.boxes is not None and self.boxes.shape[-1] != 2 * self.points.shape[-1]:
            raise ValueError(
                f"points and boxes must be both 2D or both 3D, got {self.points.shape[-1]} coordinates a point and "
                f"{self.boxes.shape[-1]} a box."
            )
        if self.masks is not None and self.masks.shape[-3] != 1:
            raise ValueError(f"masks must be [(B,) N, 1, h, w], got {tuple(self.masks.shape)}.")

    def _ranked(self) -> list[tuple[str, torch.Tensor, int]]:
        ranks = {"points": 2, "point_labels": 1, "boxes": 1, "masks": 3}
        return [(name, getattr(self, name), rank) for name, rank in ranks.items() if getattr(self, name) is not None]

    @staticmethod
    def _check_points(points: torch.Tensor, labels: torch.Tensor) -> None:
        if int_sizes(points.shape[:-1]) != int_sizes(labels.shape) or points.shape[-1] not in (2, 3):
            raise ValueError(
                "points [(B,) N, K, 2 or 3] and point_labels [(B,) N, K] do not fit: "
                f"{tuple(points.shape)} and {tuple(labels.shape)}."
            )
        if is_traced():  # values are not looked at
            return
        wrong = labels[(labels < -1) | (labels > 1)]
        if wrong.numel():
            raise ValueError(
                f"point_labels must be 1 (positive), 0 (negative) or -1 (padding), got {wrong.unique().tolist()}."
            )
        if not torch.isfinite(points[labels >= 0]).all():
            raise ValueError("points must be finite numbers wherever point_labels is 0 or 1.")

    @staticmethod
    def _check_boxes(boxes: torch.Tensor) -> None:
        if boxes.shape[-1] not in (4, 6):
            raise ValueError(
                f"boxes must be [(B,) N, 4] as x0 y0 x1 y1 (or 6 numbers in 3D), got {tuple(boxes.shape)}."
            )
        if is_traced():
            return
        absent = torch.isnan(boxes).all(dim=-1)
        present = boxes[~absent]
        low, high = present.chunk(2, dim=-1)
        if not torch.isfinite(present).all() or (low > high).any():
            raise ValueError(
                "boxes must have finite corners with x0 <= x1 and y0 <= y1; a box that is not given is a row of NaN."
            )

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Prompts:
        """Take the prompts out of a batch dictionary; other keys are ignored."""
        return cls(**{key: data[key] for key in PROMPT_KEYS if data.get(key) is not None})

    @property
    def is_empty(self) -> bool:
        """True when nothing at all is prompted."""
        return not self._ranked()

    @property
    def is_batched(self) -> bool:
        """True when the leading dimensions are ``[B, N]`` rather than ``[N]``."""
        return any(value.ndim - rank == 2 for _, value, rank in self._ranked())

    @property
    def num_objects(self) -> int:
        """N, the number of objects prompted in each image."""
        return next((int(value.shape[value.ndim - rank - 1]) for _, value, rank in self._ranked()), 0)

    @property
    def has_box(self) -> torch.Tensor:
        """Which objects have a box, booleans ``[(B,) N]``."""
        if self.boxes is None:
            lead = next((value.shape[: value.ndim - rank] for _, value, rank in self._ranked()), (0,))
            return torch.zeros(lead, dtype=torch.bool)
        present: torch.Tensor = ~convert_to_tensor(self.boxes, track_meta=False).isnan().any(dim=-1)
        return present

    def has_click_or_box(self, row: int) -> bool:
        """Return whether an object of prompts ``[N, ...]`` has a click or a box."""
        clicked = self.point_labels is not None and bool((self.point_labels[row] >= 0).any())
        return clicked or (self.boxes is not None and bool(self.has_box[row]))

    def batched(self) -> Prompts:
        """Return the prompts with the leading dimensions ``[B, N]``, adding B = 1 where it is missing."""
        return self if self.is_batched else replace(self, **{name: value[None] for name, value, _ in self._ranked()})

    def image(self, index: int) -> Prompts:
        """Return the prompts ``[N, ...]`` of one image of ``[B, N, ...]``, as plain tensors.

        Raises:
            ValueError: when the prompts are not batched.
        """
        if not self.is_batched and not self.is_empty:
            raise ValueError("only batched prompts [B, N, ...] have images.")
        return self._picked(index)

    def images(self, rows: Sequence[int]) -> Prompts:
        """Return the prompts ``[b, N, ...]`` of some images of ``[B, N, ...]``, as plain tensors.

        Raises:
            ValueError: when the prompts are not batched.

        Example:
            >>> prompts = Prompts(boxes=torch.tensor([[[1.0, 1.0, 5.0, 5.0]], [[2.0, 2.0, 9.0, 9.0]]]))
            >>> prompts.images([1]).boxes
            tensor([[[2., 2., 9., 9.]]])
        """
        if not self.is_batched and not self.is_empty:
            raise ValueError("only batched prompts [B, N, ...] have images.")
        return self._picked(rows)

    def objects(self, rows: slice | Sequence[int]) -> Prompts:
        """Return the prompts of some objects of ``[N, ...]``, as plain tensors.

        Raises:
            ValueError: when the prompts are batched.

        Example:
            >>> prompts = Prompts(boxes=torch.tensor([[1.0, 1.0, 5.0, 5.0], [2.0, 2.0, 9.0, 9.0]]))
            >>> prompts.objects([1]).boxes, prompts.batched().image(0).num_objects
            (tensor([[2., 2., 9., 9.]]), 2)
        """
        if self.is_batched:
            raise ValueError("take an image of batched prompts [B, N, ...] before some of its objects.")
        return self._picked(rows)

    def _picked(self, index: int | slice | Sequence[int]) -> Prompts:
        picked = {name: convert_to_tensor(value, track_meta=False)[index] for name, value, _ in self._ranked()}
        return replace(self, **picked)

    @classmethod
    def stack(cls, prompts: Sequence[Prompts]) -> Prompts:
        """Put the objects of several prompts ``[N, ...]`` below each other: missing clicks are padding, missing boxes
        NaN.

        Args:
            prompts: clicks, boxes or both, not batched. What none of them has, the result has not either.

        Example:
            >>> click = Prompts(torch.ones(1, 1, 2), torch.ones(1, 1))
            >>> stacked = Prompts.stack([click, Prompts(boxes=torch.tensor([[1.0, 1.0, 5.0, 5.0]]))])
            >>> stacked.point_labels.tolist(), stacked.has_box.tolist()
            ([[1.0], [-1.0]], [False, True])
        """

        def column(name: str, nothing: float) -> torch.Tensor | None:
            given = [(one.num_objects, getattr(one, name)) for one in prompts]
            like = next((value for _, value in given if value is not None), None)
            if like is None:
                return None
            rows = [
                row
                for count, value in given
                for row in (like.new_full((count, *like.shape[1:]), nothing) if value is None else value)
            ]
            return pad_sequence(rows, batch_first=True, padding_value=nothing)

        return cls(column("points", 0.0), column("point_labels", -1.0), column("boxes", torch.nan))

    def to(self, device: torch.device | str) -> Prompts:
        """Return the prompts on ``device``."""
        return replace(self, **{name: value.to(device) for name, value, _ in self._ranked()})

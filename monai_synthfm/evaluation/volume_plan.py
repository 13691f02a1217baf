# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which slice of a volume an evaluation prompts, with what, and in which direction it goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from monai_synthfm.evaluation.prompt_plan import PromptPlan
from monai_synthfm.inferers.propagation.propagation import DIRECTIONS
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.slice_prompts import SlicePrompts
from monai_synthfm.utils.switches import reads_switches

__all__ = ["PROMPT_SLICES", "PlannedPrompt", "VolumePlan", "VolumeQuestion"]

PROMPT_SLICES: Mapping[str, Callable[[Mapping[int, int]], int]] = {
    "first": min,
    "middle": lambda areas: sorted(areas)[len(areas) // 2],
    "largest": lambda areas: max(sorted(areas), key=areas.__getitem__),
}
"""Choices among the slices that show an object, given their areas: of equally large ones the first."""

_MULTI_CLICK = ((1, 0), (3, 2))


@dataclass(frozen=True)
class PlannedPrompt:
    """
    What says on one slice where an object is.

    Args:
        index: of the slice.
        prompts: clicks and box of this one object (N = 1, not batched) in pixels of the slice; a mask has neither.
        mask: booleans [H, W], or None.
    """

    index: int
    prompts: Prompts
    mask: np.ndarray | None = None

    def by_slice(self) -> dict[int, SlicePrompts]:
        """
        Return the same as propagations take it, without padding.

        Example:
            >>> clicks = Prompts(torch.ones(1, 2, 2), torch.tensor([[-1, 1]]))
            >>> PlannedPrompt(7, clicks).by_slice()[7].prompts.point_labels.tolist()
            [[1]]
        """
        points, labels, boxes = self.prompts.points, self.prompts.point_labels, self.prompts.boxes
        if points is None or labels is None or not bool((labels >= 0).any()):
            points, labels = torch.zeros(1, 1, 2), torch.full((1, 1), -1)
        else:
            points, labels = points[:, labels[0] >= 0], labels[:, labels[0] >= 0]
        if boxes is not None and bool(boxes.isnan().any()):
            boxes = None
        mask = None if self.mask is None else torch.from_numpy(self.mask)[None]
        return {self.index: SlicePrompts([0], Prompts(points, labels, boxes), mask)}


@dataclass(frozen=True)
class VolumeQuestion:
    """
    What a model is asked once for a target.

    Args:
        names: as it stands in the table, such as ``box@largest/both``; several where one slice is, say, both the middle
            and the largest.
        seed: of the prompts.
        prompt: where the object is on one slice.
        direction: in which to go on from there.
    """

    names: list[str]
    seed: int
    prompt: PlannedPrompt
    direction: str


@reads_switches
@dataclass(frozen=True)
class VolumePlan:
    """
    The prompt configurations of an evaluation of volumes; every one prompts a single slice, save interactive clicks.

    The papers do not say how volumes were prompted. ``first`` with the four modes of arXiv 2511.21926 (one click,
    several, box, mask), by the same first author, is the likely protocol; ``largest`` with ``both`` did best in
    arXiv 2408.00756. The default numbers of clicks are our choice.

    Args:
        prompts: clicks and boxes on a slice; none that depend on answers. None leaves masks alone.
        mask: whether to give the mask of the object on the slice, too. Named ``mask``.
        slices: which of the slices that show an object, out of ``PROMPT_SLICES``.
        directions: ``both``, ``forward`` or ``backward``; forward goes to higher slice indexes, towards the head in
            axial slices.
        challenge_clicks: after all this, a run of the interactive protocol of the CVPR 2025 challenge with this many
            clicks (0 = none), which has 5, see :func:`~monai_synthfm.evaluation.volume_interaction.challenge_steps`.
            Named ``challenge-00`` (the box) and so on.

    Raises:
        ValueError: when nothing is planned, or an argument is not one of the above.

    Example:
        >>> volume = np.zeros((16, 12, 9), dtype=bool)
        >>> volume[3:9, 3:9, 2:5] = volume[2:10, 2:10, 3] = True
        >>> plan = VolumePlan(PromptPlan(click_pairs=(), box=True), slices=("first", "middle", "largest"))
        >>> [(q.names, q.prompt.index) for q in plan(volume, 2, "amos_ct", "amos_0001", "liver")][::2]
        [(['box@first/both'], 2), (['box@middle/both', 'box@largest/both'], 3)]
    """

    prompts: PromptPlan | None = field(default_factory=lambda: PromptPlan(click_pairs=_MULTI_CLICK, box=True))
    mask: bool = True
    slices: Sequence[str] = ("first", "largest")
    directions: Sequence[str] = ("both",)
    challenge_clicks: int = 0

    def __post_init__(self) -> None:
        known = {"slices": tuple(PROMPT_SLICES), "directions": tuple(name for name in DIRECTIONS if name != "none")}
        for name, choices in known.items():
            given = list(getattr(self, name))
            if not given or len(set(given)) < len(given) or not set(given) <= set(choices):
                raise ValueError(f"{name} must be different ones out of {choices}, got {given}.")
        if not 0 <= self.challenge_clicks <= 99:
            raise ValueError(f"challenge_clicks must lie in 0..99, got {self.challenge_clicks}.")
        if self.prompts is None and not self.mask and not self.challenge_clicks:
            raise ValueError("the plan has no prompts: give prompts, mask, or challenge_clicks.")
        if self.prompts is not None and (self.prompts.interactive_clicks or self.prompts.challenge_clicks):
            raise ValueError(
                "prompts of slices must not have interactive_clicks or challenge_clicks: "
                "challenge_clicks belongs to the plan of volumes."
            )

    @property
    def answers(self) -> int:
        """The largest number of answers asked for one target, with those of the challenge."""
        each = (0 if self.prompts is None else self.prompts.answers) + self.mask
        steps = self.challenge_clicks + 1 if self.challenge_clicks else 0
        return each * len(self.slices) * len(self.directions) + steps

    def __call__(
        self, mask: np.ndarray, axis: int, dataset: str, case_id: str, structure: str, instance: int = 0
    ) -> Iterator[VolumeQuestion]:
        """
        Prompt a target.

        Args:
            mask: booleans [X, Y, Z], not empty.
            axis: across which the volume is cut.
            dataset: its name, which decides the random clicks as the other arguments do.
            case_id: of the case.
            structure: its name.
            instance: 0 for the whole mask.

        Yields:
            What to ask, slice by slice.
        """
        counts = np.count_nonzero(mask, axis=tuple(a for a in range(3) if a != axis))
        areas = {int(index): int(counts[index]) for index in np.flatnonzero(counts)}
        chosen: dict[int, list[str]] = {}
        for name in self.slices:
            chosen.setdefault(PROMPT_SLICES[name](areas), []).append(name)
        for index, places in chosen.items():
            plane = np.ascontiguousarray(np.take(mask, index, axis=axis).T)
            for name, seed, prompt in self._on_slice(plane, dataset, case_id, structure, index, instance):
                for direction in self.directions:
                    names = [f"{name}@{place}/{direction}" for place in places]
                    yield VolumeQuestion(names, seed, prompt, direction)

    @property
    def first_seed(self) -> int:
        """The seed of prompts without any random draw."""
        return 0 if self.prompts is None else self.prompts.seeds[0]

    def _on_slice(
        self, plane: np.ndarray, dataset: str, case_id: str, structure: str, index: int, instance: int
    ) -> Iterator[tuple[str, int, PlannedPrompt]]:
        if self.prompts is not None:
            planned = self.prompts(plane, dataset, case_id, structure, index, instance)
            for k, (name, seed) in enumerate(zip(planned.names, planned.seeds, strict=True)):
                yield name, seed, PlannedPrompt(index, planned.one(k))
        if self.mask:
            yield "mask", self.first_seed, PlannedPrompt(index, Prompts(), plane)

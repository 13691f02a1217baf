# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which prompts an evaluation gives for a target: the same clicks and boxes to every model, on any machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
import torch

from monai_synthfm.prompts import PAPER_CLICK_PAIRS, BoxSimulator, ClickSimulator, Prompts
from monai_synthfm.utils.switches import reads_switches

__all__ = ["PlannedPrompts", "PromptPlan", "prompt_rng"]

_NO_CLICK = (torch.zeros(1, 1, 2), torch.full((1, 1), -1))
_NO_BOX = torch.full((1, 4), torch.nan)


def prompt_rng(
    seed: int, dataset: str, case_id: str, structure: str, slice_index: int, instance: int = 0
) -> np.random.Generator:
    """
    Return the source of randomness of the prompts of one target.

    ``SeedSequence([seed, crc32(dataset), crc32(case_id), crc32(structure), slice_index + 1, instance])``: it depends on
    nothing else, so that neither other cases, nor models, nor the order of work change a click.

    Args:
        seed: of the evaluation.
        dataset: its name.
        case_id: of the case.
        structure: its name.
        slice_index: -1 for pictures.
        instance: 0 for the whole mask.

    Example:
        >>> [int(prompt_rng(0, "amos_ct", "amos_0001", "liver", 40).integers(100)) for _ in range(2)]
        [..., ...]
    """
    words = [crc32(text.encode()) for text in (dataset, case_id, structure)]
    return np.random.default_rng(np.random.SeedSequence([seed, *words, slice_index + 1, instance]))


@dataclass(frozen=True)
class PlannedPrompts:
    """
    All prompts of one target that do not depend on a model's answer.

    Args:
        names: of the N prompt configurations, as they stand in the table: ``1p2n``, ``box``.
        seeds: [N].
        prompts: N objects: the same target, prompted N times.
    """

    names: list[str]
    seeds: list[int]
    prompts: Prompts

    def one(self, index: int) -> Prompts:
        """Return the prompts of one configuration (N = 1)."""
        return self.prompts.objects([index])


@reads_switches
@dataclass(frozen=True)
class PromptPlan:
    """
    The prompt configurations of an evaluation.

    For one seed all click configurations draw from equal sources, so the clicks of ``1p0n`` are the first of ``3p2n``.
    Configurations without any random draw are evaluated for the first seed only.

    Args:
        click_pairs: (positive, negative) counts; the default is the paper's four. Named ``1p2n``.
        box: whether to prompt with a box. Named ``box``.
        interactive_clicks: largest number of clicks on the errors of the running prediction (0 = none), see
            :func:`~monai_synthfm.evaluation.simulated_user.interactive_masks`. Named ``interactive-01`` and so on.
        challenge_clicks: the same with a box first and the clicks of the CVPR 2025 challenge, which has 5. Named
            ``challenge-00`` (the box) and so on.
        feed_masks: give the interactive runs the logits of the answer before, as SAM was trained. False by default:
            decoders trained on clicks and boxes alone have never seen a mask.
        seeds: of the random clicks; several show how much they matter.
        click_options: further arguments of :class:`~monai_synthfm.prompts.ClickSimulator`.
        box_options: arguments of :class:`~monai_synthfm.prompts.BoxSimulator`; by default the box is tight.

    Raises:
        ValueError: when nothing is planned, or an argument is out of its range.

    Example:
        >>> mask = np.zeros((32, 32), dtype=bool)
        >>> mask[8:20, 10:25] = True
        >>> planned = PromptPlan(box=True, seeds=(0, 1))(mask, "amos_ct", "amos_0001", "liver", 40)
        >>> list(zip(planned.names, planned.seeds))
        [('1p0n', 0), ('1p2n', 0), ('3p0n', 0), ('3p0n', 1), ('3p2n', 0), ('3p2n', 1), ('box', 0)]
    """

    click_pairs: Sequence[Sequence[int]] = PAPER_CLICK_PAIRS
    box: bool = False
    interactive_clicks: int = 0
    challenge_clicks: int = 0
    feed_masks: bool = False
    seeds: Sequence[int] = (0,)
    click_options: Mapping[str, Any] = field(default_factory=dict)
    box_options: Mapping[str, Any] = field(default_factory=lambda: {"fraction": 0.0})

    def __post_init__(self) -> None:
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must be different numbers of at least 0, got {list(self.seeds)}.")
        for name in ("interactive_clicks", "challenge_clicks"):
            if not 0 <= getattr(self, name) <= 99:
                raise ValueError(f"{name} must lie in 0..99, got {getattr(self, name)}.")
        if not (self.click_pairs or self.box or self.interactive_clicks or self.challenge_clicks):
            raise ValueError("the plan has no prompts: give click_pairs, box, interactive_clicks or challenge_clicks.")
        if any(len(pair) != 2 for pair in self.click_pairs):
            raise ValueError(f"click_pairs must be (positive, negative) pairs, got {self.click_pairs}.")
        if "pad_to" in self.click_options:
            raise ValueError("click_options must not have pad_to: the plan pads.")
        self._clickers()
        self._boxer()

    @property
    def answers(self) -> int:
        """The largest number of masks asked for one target."""
        clicks = sum(len(self._seeds_of(clicker)) for _, clicker in self._clickers())
        interactive = self.interactive_clicks + (self.challenge_clicks + 1 if self.challenge_clicks else 0)
        return clicks + (len(self._seeds_of(self._boxer())) if self.box else 0) + interactive

    def __call__(
        self, mask: np.ndarray, dataset: str, case_id: str, structure: str, slice_index: int, instance: int = 0
    ) -> PlannedPrompts:
        """
        Prompt a target.

        Args:
            mask: booleans [H, W] at native resolution, not empty.
            dataset: see :func:`prompt_rng`, as the other arguments.
            case_id: of the case.
            structure: its name.
            slice_index: -1 for pictures.
            instance: 0 for the whole mask.
        """
        names: list[str] = []
        seeds: list[int] = []
        prompts: list[Prompts] = []
        identity = (dataset, case_id, structure, slice_index, instance)
        for name, clicker in self._clickers():
            for seed in self._seeds_of(clicker):
                names.append(name)
                seeds.append(seed)
                points, labels = map(torch.from_numpy, clicker(mask, prompt_rng(seed, *identity)))
                prompts.append(Prompts(points[None], labels[None], _NO_BOX))
        if self.box:
            boxer = self._boxer()
            for seed in self._seeds_of(boxer):
                names.append("box")
                seeds.append(seed)
                box = torch.from_numpy(boxer(mask, prompt_rng(seed, *identity)))
                prompts.append(Prompts(*_NO_CLICK, box[None]))
        return PlannedPrompts(names, seeds, Prompts.stack(prompts))

    def _clickers(self) -> list[tuple[str, ClickSimulator]]:
        return [(f"{p}p{n}n", ClickSimulator(p, n, **self.click_options)) for p, n in self.click_pairs]

    def _boxer(self) -> BoxSimulator:
        return BoxSimulator(**self.box_options)

    def _seeds_of(self, simulator: ClickSimulator | BoxSimulator) -> Sequence[int]:
        if isinstance(simulator, ClickSimulator):
            is_random = simulator.num_positive > 1 or simulator.jitter > 0
        else:
            is_random = simulator.fraction > 0 and simulator.max_pixels > 0
        return self.seeds if is_random else self.seeds[:1]

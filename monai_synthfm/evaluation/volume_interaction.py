# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The interactive protocol of the CVPR 2025 challenge on volumes: a box and ends, then clicks on the largest error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

from monai_synthfm.evaluation.simulated_user import largest_error
from monai_synthfm.evaluation.volume_plan import PlannedPrompt
from monai_synthfm.inferers.session.interactive_session import InteractiveSession
from monai_synthfm.prompts import Prompts, tight_box

__all__ = ["ChallengeStep", "challenge_box", "challenge_clicks_of", "challenge_steps"]


@dataclass(frozen=True)
class ChallengeStep:
    """
    An answer on the way.

    Args:
        name: as it stands in the table: ``challenge-00`` for the box, ``challenge-01`` for the first click.
        mask: booleans [X, Y, Z].
        seconds: of this answer alone, with the encoding of slices that none before had led to; 0 where nothing was
            wrong any more and no click was given.
    """

    name: str
    mask: np.ndarray
    seconds: float


def challenge_box(target: np.ndarray, axis: int) -> PlannedPrompt:
    """
    Return the box that the protocol begins with: around the object on the slice of its middle voxel.

    With the voxels of the object sorted by slice, the middle one of n is number n // 2, counted from 0.

    Args:
        target: booleans [X, Y, Z], not empty.
        axis: across which the volume is cut.

    Example:
        >>> target = np.zeros((9, 9, 9), bool)
        >>> target[4, 4, 1:6] = target[2:7, 3:5, 6] = True
        >>> box = challenge_box(target, axis=2)
        >>> box.index, box.prompts.boxes.tolist()
        (6, [[2.0, 3.0, 6.0, 4.0]])
    """
    areas = np.count_nonzero(target, axis=tuple(a for a in range(3) if a != axis))
    index = int(np.searchsorted(areas.cumsum(), areas.sum() // 2, side="right"))
    box = tight_box(np.take(target, index, axis=axis).T)
    return PlannedPrompt(index, Prompts(boxes=torch.from_numpy(box)[None]))


def challenge_steps(session: InteractiveSession, target: np.ndarray, axis: int, clicks: int) -> Iterator[ChallengeStep]:
    """
    Segment an object of a volume as the simulated user of the CVPR 2025 challenge does.

    As in the challenge: the box on the slice of the middle voxel (:func:`challenge_box`), and the first and the last
    slice of the object, which the session is not to leave (``slice_range``); every click in the deepest voxel of the
    largest 26-connected error, missed and excess voxels taken together, with depths in voxels whatever the spacing;
    positive where the object is; no click once nothing is wrong; all prompts stay.

    Different here:

    - The box is tight. The challenge's grows on all sides by 0 to 5 pixels of an image of 256.
    - Of equally deep voxels the first is taken. The challenge draws one.
    - Every object is alone in the session. The challenge asks for all objects of an image at once.
    - NSD is what it is. The challenge counts it as 0 where the mean DSC of an image is at most 0.2.
    - Every object has a box. The challenge has images without, whose first answer counts as 0.

    Args:
        session: with the volume as its image; its prompts are taken back first.
        target: booleans [X, Y, Z] in voxels of the session's image, not empty.
        axis: across which the session cuts it.
        clicks: number of clicks after the box.

    Yields:
        An answer for the box and for each click.

    Source: ``CVPR25_iter_eval.py`` and ``get_boxes.py`` of github.com/JunMa11/CVPR-MedSegFMCompetition.
    """
    session.reset()
    held = np.flatnonzero(target.any(axis=tuple(a for a in range(3) if a != axis)))
    session.carry(slice_range=(int(held[0]), int(held[-1])))
    first = challenge_box(target, axis)
    assert first.prompts.boxes is not None
    box = np.insert(first.prompts.boxes.numpy().reshape(2, 2), axis, first.index, axis=1).ravel()
    start = perf_counter()
    session.add_box(box)
    step = ChallengeStep(_name(0), _mask(session), perf_counter() - start)
    yield step
    for count in range(1, clicks + 1):
        found = largest_error(step.mask, target)
        seconds, mask = 0.0, step.mask
        if found is not None:
            place, label = found
            start = perf_counter()
            session.add_points([place], [label])
            mask = _mask(session)
            seconds = perf_counter() - start
        step = ChallengeStep(_name(count), mask, seconds)
        yield step


def challenge_clicks_of(prompts: str) -> int | None:
    """
    Return how many clicks a row of the protocol has by the name of its prompts; None for other rows.

    Example:
        >>> challenge_clicks_of("challenge-05"), challenge_clicks_of("box@largest/both")
        (5, None)
    """
    named = re.fullmatch(r"challenge-(\d+)", prompts)
    return None if named is None else int(named[1])


def _name(count: int) -> str:
    return f"challenge-{count:02d}"


def _mask(session: InteractiveSession) -> np.ndarray:
    return np.asarray(session.segmentation[0]) > 0

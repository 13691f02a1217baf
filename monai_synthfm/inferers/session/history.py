# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a user has said so far, and the way back and forth through it."""

from __future__ import annotations

from dataclasses import dataclass

from monai_synthfm.inferers.session.interactions import Interaction

__all__ = ["History", "Reach", "Said"]


@dataclass(frozen=True)
class Reach:
    """
    How far objects are carried.

    Args:
        direction: one of :data:`~monai_synthfm.inferers.propagation.propagation.DIRECTIONS`, as slices of the file are
            counted.
        slice_range: first and last slice of the file that may be segmented, None = all.
    """

    direction: str
    slice_range: tuple[int, int] | None = None


@dataclass(frozen=True)
class Said:
    """
    All that decides a segmentation.

    Args:
        interactions: in the order in which they came.
        reach: of all objects.
    """

    interactions: tuple[Interaction, ...]
    reach: Reach

    def by_object(self) -> dict[int, list[Interaction]]:
        """Return the interactions of each object."""
        found: dict[int, list[Interaction]] = {}
        for item in self.interactions:
            found.setdefault(item.object_id, []).append(item)
        return found


@dataclass(frozen=True)
class History:
    """
    States one after the other, of which one is the present.

    Args:
        states: the first is what was before anything was said.
        position: of the present.

    Example:
        >>> history = History((Said((), Reach("both")),)).added(Said((), Reach("none")))
        >>> history.now.reach.direction, history.position, history.can_redo
        ('none', 1, False)
        >>> history.moved(-1).now.reach.direction, history.moved(-1).can_redo
        ('both', True)
    """

    states: tuple[Said, ...]
    position: int = 0

    @property
    def now(self) -> Said:
        """The present state."""
        return self.states[self.position]

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier state."""
        return self.position > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is a later state, which was left by going back."""
        return self.position + 1 < len(self.states)

    def added(self, said: Said) -> History:
        """Return the history in which ``said`` follows the present; states left by going back are forgotten."""
        return History((*self.states[: self.position + 1], said), self.position + 1)

    def moved(self, steps: int) -> History:
        """Return the history ``steps`` later, or earlier when negative."""
        return History(self.states, self.position + steps)

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The steps of an interactive session, back and forth, and what they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import torch

from monai_synthfm.inferers.propagation.propagation import DIRECTIONS, Progress, Propagation
from monai_synthfm.inferers.session.alternatives import Alternatives, find_alternatives
from monai_synthfm.inferers.session.history import History, Reach, Said
from monai_synthfm.inferers.session.interactions import Interaction
from monai_synthfm.inferers.session.shown_objects import ShownObjects
from monai_synthfm.inferers.session.volume import ChangedBox, SessionVolume
from monai_synthfm.utils.switches import reads_switches

__all__ = ["SessionSteps"]


@reads_switches
class SessionSteps:
    """
    What was said in a session, step by step.

    Args:
        direction: in which objects are carried.
        at_once: carry objects through the volume with each prompt; otherwise when :meth:`carry` is called.

    Raises:
        ValueError: when ``direction`` is none of the known words.
    """

    propagation: Propagation

    def __init__(self, direction: str, at_once: bool) -> None:
        self.direction = _checked(direction)
        self.at_once = at_once
        self._objects: ShownObjects | None = None
        self._serials = count()
        self._step = 0  # how often objects were carried
        self._history = self._beginning()

    def undo(self) -> ChangedBox | None:
        """
        Take the last step back: a prompt, or what :meth:`remove`, :meth:`resize`, :meth:`carry`, ... did.

        Returns:
            Where the segmentation changed, or None when it did not.

        Raises:
            ValueError: when there is nothing to take back.
        """
        if not self._history.can_undo:
            raise ValueError("there is no prompt to undo.")
        return self._go(self._history.moved(-1))

    def redo(self) -> ChangedBox | None:
        """
        Take the last step that was taken back again.

        Returns:
            Where the segmentation changed, or None when it did not.

        Raises:
            ValueError: when nothing was taken back.
        """
        if not self._history.can_redo:
            raise ValueError("there is nothing to redo.")
        return self._go(self._history.moved(1))

    def reset(self) -> ChangedBox | None:
        """Take all prompts back, and return where the segmentation changed."""
        return self._say(())

    def remove(self, serial: int) -> ChangedBox | None:
        """
        Take one prompt back, whatever came after it; a mask chosen among its answers goes with it.

        Args:
            serial: of one of :attr:`interactions`.

        Returns:
            Where the segmentation changed, or None when it did not.

        Raises:
            ValueError: when there is no such prompt.
        """
        items = self.interactions
        if serial not in {item.serial for item in items}:
            raise ValueError(f"there is no prompt {serial}; there are {[item.serial for item in items]}.")
        gone = {serial}
        while more := {i.serial for i in items if i.choice and i.choice.among & gone} - gone:
            gone |= more
        return self._say([item for item in items if item.serial not in gone])

    def remove_object(self, object_id: int) -> ChangedBox | None:
        """
        Take all prompts of an object back, and number the objects after it one down.

        Args:
            object_id: of the object.

        Returns:
            Where the segmentation changed, or None when it did not.
        """
        kept = [item for item in self.interactions if item.object_id != object_id]
        return self._say([replace(i, object_id=i.object_id - (i.object_id > object_id)) for i in kept])

    @torch.no_grad()
    def alternatives(self, object_id: int = 1) -> Alternatives:
        """
        Return what :meth:`resize` chooses among.

        Raises:
            ValueError: when the object has no click or box.
        """
        return find_alternatives(self._shown, self.propagation, self._history.now, object_id)

    @torch.no_grad()
    def resize(self, size: str, object_id: int = 1) -> ChangedBox | None:
        """
        Take the next smaller or larger of the alternative masks that the network has for the latest click or box.

        The mask stands for what was said about the object on its slices until then, as a mask prompt does.

        Args:
            size: ``smaller`` or ``larger``.
            object_id: of the object.

        Returns:
            Where the segmentation changed, or None when it did not.

        Raises:
            ValueError: when the object has no click or box, or there is no such mask.
        """
        offered = self.alternatives(object_id)
        rank = offered.next(size)
        if rank is None:
            raise ValueError(f"the network has no {size} answer to the latest prompt of object {object_id}.")
        said = replace(offered.choose(rank, next(self._serials), object_id), step=self._step)
        others = [i for i in self.interactions if i.object_id != object_id or i.serial in offered.among]
        return self._say([*others, said])

    def carry(
        self,
        direction: str | None = None,
        slice_range: tuple[int, int] | None = None,
        progress: Progress | None = None,
    ) -> ChangedBox | None:
        """
        Carry all objects through the volume.

        Args:
            direction: from the prompted slices; None = the session's. ``none`` leaves all other slices again.
            slice_range: first and last slice of the file that may be segmented, None = all.
            progress: is called after each slice, and may stop.

        Returns:
            Where the segmentation changed, or None when it did not.

        Raises:
            ValueError: when an argument is out of its range, or a prompt out of ``slice_range``.
            PropagationStopped: when ``progress`` stopped it; nothing has changed then.
        """
        reach = self._checked_reach(Reach(self.direction if direction is None else direction, slice_range))
        said = replace(self._history.now, reach=reach)
        history = self._history if said == self._history.now else self._history.added(said)
        return self._go(history, progress, carries=True)

    @torch.no_grad()
    def predict(self) -> ChangedBox | None:
        """Segment the objects whose prompts changed, and return where the segmentation changed, or None."""
        return self._show(None, self.at_once)

    @property
    def interactions(self) -> tuple[Interaction, ...]:
        """What was said so far, in the order in which it was said."""
        return self._history.now.interactions

    @property
    def reach(self) -> Reach:
        """How far objects are carried."""
        return self._history.now.reach

    @property
    def outdated(self) -> frozenset[int]:
        """Objects that show what earlier prompts brought on some slices, see :meth:`carry`."""
        return self._shown.outdated

    @property
    def history(self) -> History:
        """All steps so far, and which of them is the present one."""
        return self._history

    def _beginning(self) -> History:
        return History((Said((), Reach(self.direction if self.at_once else "none")),))

    def _checked_reach(self, reach: Reach) -> Reach:
        size, span = len(self._ready().slices), reach.slice_range
        if span is not None and not 0 <= span[0] <= span[1] < size:
            raise ValueError(f"slice_range must be within slices 0 to {size - 1}, got {list(span)}.")
        return Reach(_checked(reach.direction), span)

    def _say(self, interactions: Sequence[Interaction], run: bool = True) -> ChangedBox | None:
        said = replace(self._history.now, interactions=tuple(interactions))
        return self._go(self._history.added(said), run=run)

    @torch.no_grad()
    def _go(
        self, history: History, progress: Progress | None = None, carries: bool = False, run: bool = True
    ) -> ChangedBox | None:
        """Make another state the present one, or stay where all is as before."""
        before, self._history = self._history, history
        try:
            return self._show(progress, carries or self.at_once) if run else None
        except BaseException:
            self._history = before
            raise

    def _show(self, progress: Progress | None, carries: bool) -> ChangedBox | None:
        changed = self._shown.update(self._history.now, self.propagation, carries, progress)
        self._step += carries
        return changed

    @property
    def _shown(self) -> ShownObjects:
        if self._objects is None:
            raise ValueError("there is no image: call set_image first.")
        return self._objects

    def _ready(self) -> SessionVolume:
        return self._shown.volume


def _checked(direction: str) -> str:
    if direction not in DIRECTIONS:
        raise ValueError(f"direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}.")
    return direction

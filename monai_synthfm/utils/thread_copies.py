# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Copies of objects that threads must not share."""

from __future__ import annotations

import threading
from copy import deepcopy
from typing import Any, TypeVar

__all__ = ["ThreadCopies"]

T = TypeVar("T")


class ThreadCopies(threading.local):
    """Give the main thread an object itself and every other thread a copy of its own.

    Random transforms hold what they drew until they apply it, so that two threads that use one of them at once mix up
    their samples; a copy that is seeded for each sample gives the same ones. A copied or pickled ``ThreadCopies`` is
    empty.

    Example:
        >>> settings, copies = {"seed": 1}, ThreadCopies()
        >>> copies.of(settings) is settings
        True
    """

    def __init__(self) -> None:
        self._copies: dict[int, tuple[Any, Any]] = {}

    def __reduce__(self) -> tuple[type[ThreadCopies], tuple[()]]:
        return type(self), ()

    def of(self, original: T) -> T:
        """Return the object that this thread may use in the place of ``original``."""
        if threading.current_thread() is threading.main_thread():
            return original
        # the original is kept beside its copy, so that no other object gets its id
        known, copy = self._copies.get(id(original), (None, None))
        if known is not original:
            copy = deepcopy(original)
            self._copies[id(original)] = (original, copy)
        return copy

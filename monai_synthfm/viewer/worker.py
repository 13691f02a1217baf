# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""One thing after the other: the network works in a single thread, and what comes meanwhile waits or is refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["BusyError", "Worker"]

Result = TypeVar("Result")
_MOST_WAITING = 32


class BusyError(RuntimeError):
    """There is more to do than can wait; what was asked was not done."""


class Worker:
    """
    Does jobs in the order in which they come, in one thread.

    Args:
        most_waiting: how many may wait.
    """

    def __init__(self, most_waiting: int = _MOST_WAITING) -> None:
        self.most_waiting = most_waiting
        self.long_job = ""
        """What is going on that takes long, or nothing."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._waiting = 0
        self._lock = threading.Lock()

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return self._waiting == 0 and not self.long_job

    async def do(self, job: Callable[[], Result]) -> Result:
        """
        Do a job when those before it are done.

        Raises:
            BusyError: when too many are waiting, or one of them takes long.
        """
        self._enter()
        try:
            return await asyncio.wrap_future(self._pool.submit(job))
        finally:
            self._leave()

    def start(self, name: str, job: Callable[[], None]) -> None:
        """
        Begin a job that takes long, and do not wait for it.

        Raises:
            BusyError: as :meth:`do`.
        """
        self._enter()
        self.long_job = name

        def whole() -> None:
            try:
                job()
            finally:
                self.long_job = ""
                self._leave()

        self._pool.submit(whole)

    def close(self) -> None:
        """Wait for what was begun, and take no more."""
        self._pool.shutdown(wait=True)

    def _enter(self) -> None:
        with self._lock:
            if self.long_job:
                raise BusyError(f"busy: {self.long_job}; wait or stop it, this was not done.")
            if self._waiting >= self.most_waiting:
                raise BusyError(f"busy: {self._waiting} requests are waiting; this was not done.")
            self._waiting += 1

    def _leave(self) -> None:
        with self._lock:
            self._waiting -= 1

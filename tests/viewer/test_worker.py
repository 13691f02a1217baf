# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""One job after the other in one thread, and what does not fit is refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from monai_synthfm.viewer.worker import BusyError, Worker


def finished(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns, in a thread of its own: a browser of other tests may have left a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def test_jobs_are_done_in_their_order_in_one_thread() -> None:
    worker = Worker()
    done: list[int] = []
    threads = set()

    def job(number: int) -> int:
        threads.add(threading.get_ident())
        done.append(number)
        return 10 * number

    async def all_at_once() -> list[int]:
        return await asyncio.gather(*(worker.do(lambda n=n: job(n)) for n in range(20)))  # type: ignore[misc]

    assert finished(all_at_once()) == [10 * number for number in range(20)]
    assert done == list(range(20))
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    assert worker.is_idle
    worker.close()


def test_more_than_may_wait_is_refused_and_not_done() -> None:
    worker, gate = Worker(most_waiting=2), threading.Event()
    done: list[str] = []

    async def crowd() -> None:
        first = asyncio.ensure_future(worker.do(gate.wait))
        second = asyncio.ensure_future(worker.do(lambda: done.append("second")))
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="busy: 2 requests are waiting; this was not done"):
            await worker.do(lambda: done.append("third"))
        gate.set()
        await asyncio.gather(first, second)
        await worker.do(lambda: done.append("fourth"))

    finished(crowd())
    assert done == ["second", "fourth"]
    worker.close()


def test_beside_a_long_job_nothing_else_is_begun_until_it_ends_or_fails() -> None:
    worker, gate = Worker(), threading.Event()
    ended = threading.Event()

    def long_job() -> None:
        gate.wait()
        ended.set()
        raise MemoryError("no memory left")

    worker.start("carrying", long_job)
    assert (worker.long_job, worker.is_idle) == ("carrying", False)
    with pytest.raises(BusyError, match="busy: carrying; wait or stop it, this was not done"):
        finished(worker.do(lambda: 1))
    with pytest.raises(BusyError):
        worker.start("another", lambda: None)
    gate.set()
    worker.close()
    assert ended.is_set()
    assert (worker.long_job, worker.is_idle) == ("", True)


def test_an_error_reaches_who_asked_and_the_next_job_is_done() -> None:
    worker = Worker()
    with pytest.raises(ZeroDivisionError):
        finished(worker.do(lambda: 1 // 0))
    assert finished(worker.do(lambda: 7)) == 7
    worker.close()

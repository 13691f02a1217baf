# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Copies for threads: one for each, made once, of the object as it is now."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from monai_synthfm.utils.thread_copies import ThreadCopies


def test_every_thread_has_one_copy_and_the_main_thread_the_object_itself() -> None:
    copies, original, barrier = ThreadCopies(), {"parts": [1]}, Barrier(3)

    def ask() -> tuple[Any, Any]:
        barrier.wait(timeout=10)
        return copies.of(original), copies.of(original)

    with ThreadPoolExecutor(3) as pool:
        found = [future.result() for future in [pool.submit(ask) for _ in range(3)]]
    assert all(first is second and first == original for first, second in found)
    assert len({id(first) for first, _ in found} | {id(original)}) == 4
    assert len({id(first["parts"]) for first, _ in found} | {id(original["parts"])}) == 4
    assert copies.of(original) is original


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_of_it_are_empty(duplicate: Any) -> None:
    copies, original = ThreadCopies(), [1]
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(copies.of, original).result()
        assert pool.submit(copies.of, original).result() is first
        assert pool.submit(duplicate(copies).of, original).result() is not first

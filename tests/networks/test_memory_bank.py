# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a bank of bounded size still knows, against SAM 2's rules over everything that ever happened."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from sam2.modeling.sam2_utils import select_closest_cond_frames

from monai_synthfm.networks import MemoryBank, SliceMemory, TrackedMasks


def memory_of(index: int) -> SliceMemory:
    return SliceMemory(index, torch.full((1, 2), float(index)), torch.full((1, 3, 2, 2), float(index)))


def numbers(recalled: tuple[tuple[int, torch.Tensor], ...]) -> list[tuple[int, int]]:
    """How far behind each memory is said to be, and the slice it really is of."""
    return sorted((behind, int(tensor.flatten()[0])) for behind, tensor in recalled)


def expected_by_rule(
    index: int, prompted: set[int], tracked: set[int], length: int, reverse: bool, limit: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """sam2's ``_prepare_memory_conditioned_features`` in numbers: maps and pointers."""
    chosen, others = select_closest_cond_frames(index, {t: t for t in sorted(prompted)}, limit)
    step = -1 if reverse else 1
    maps = [(0, t) for t in chosen]
    pointers = [(step * (index - t), t) for t in chosen if step * (index - t) >= 0]
    for behind in range(1, 16):
        t = index - step * behind
        if t in tracked or t in others:
            if behind < 7:
                maps.append((behind, t))
            if behind < min(length, 16):
                pointers.append((behind, t))
    return sorted(maps), sorted(pointers)


@example(length=50, prompted={49, 3, 4, 28}, limit=3, downwards=False)
@given(
    length=st.integers(2, 60),
    prompted=st.sets(st.integers(0, 59), min_size=1, max_size=5),
    limit=st.sampled_from([-1, 2, 3]),
    downwards=st.booleans(),
)
def test_each_slice_recalls_what_the_rule_says_on_the_way_up_and_down(
    length: int, prompted: set[int], limit: int, downwards: bool
) -> None:
    prompted = {index % length for index in prompted}
    start = min(prompted)
    bank = MemoryBank(length)
    for index in prompted:
        bank = bank.with_prompted(memory_of(index))
    turned, tracked = bank, set()
    passes = [(range(start + 1, length), False)] + [(range(start - 1, -1, -1), True)] * downwards
    for order, reverse in passes:
        for index in order:
            if index in prompted:
                continue
            found = bank.recall(index, reverse, past_only=True, max_prompted=None if limit < 0 else limit)
            maps, pointers = expected_by_rule(index, prompted, tracked, length, reverse, limit)
            assert numbers(found.maps) == maps
            assert numbers(found.pointers) == pointers
            tracked.add(index)
            bank = bank.with_tracked(memory_of(index), coming=index - 1 if reverse else index + 1)
            turned = turned.with_tracked(memory_of(index), coming=start - 1)
            assert len(bank.recent) <= 15
            assert sum(memory.features is not None for memory in bank.recent) <= 6
        bank = turned


def test_prompted_slices_ahead_lend_their_pointers_in_training_only() -> None:
    bank = MemoryBank(20).with_prompted(memory_of(3)).with_prompted(memory_of(9))
    assert numbers(bank.recall(5, reverse=False, past_only=True).pointers) == [(2, 3)]
    assert numbers(bank.recall(5, reverse=False, past_only=False).pointers) == [(-4, 9), (2, 3)]
    assert numbers(bank.recall(5, reverse=True, past_only=True).pointers) == [(4, 9)]


def test_a_slice_prompted_again_is_remembered_once() -> None:
    bank = MemoryBank(20).with_tracked(memory_of(4), coming=5).with_prompted(memory_of(4)).with_prompted(memory_of(4))
    assert [memory.index for memory in bank.prompted] == [4]
    assert bank.recent == ()


def test_banks_are_not_changed_by_what_is_added() -> None:
    empty = MemoryBank(20)
    filled = empty.with_prompted(memory_of(4))
    filled.with_tracked(memory_of(5), coming=6)
    assert empty.is_empty
    assert not filled.is_empty
    assert filled.recent == ()


def test_memory_maps_change_their_type_and_pointers_do_not() -> None:
    rounded = memory_of(4).to(torch.bfloat16)
    assert (rounded.features.dtype, rounded.pointer.dtype) == (torch.bfloat16, torch.float32)


def test_objects_that_are_not_there_have_no_mask() -> None:
    logits = torch.ones(2, 4, 4)
    tracked = TrackedMasks(logits, logits[:, None], torch.ones(2, 1), torch.tensor([0.1, -0.1]), torch.zeros(2, 8))
    assert tracked.present.tolist() == [True, False]
    assert tracked.logits.flatten(1).unique(dim=1).tolist() == [[1.0], [-1024.0]]
    assert tracked.decoded is logits

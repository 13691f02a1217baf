# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What every generator promises: replay, seeds, no global randomness, copies, batches; and checks of arguments."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor

from monai_synthfm.transforms import (
    RandBezierShapes,
    RandBoundaryMask,
    RandSynthFM,
    RandSynthFMIntensity,
    RandSynthMorphLabels,
)
from monai_synthfm.transforms.generator import (
    META_KEY,
    RandGenerator,
    check_probability,
    check_range,
    draw_integer,
    draw_log_uniform,
)

SIZE = (48, 64)
LABELS = torch.arange(6).repeat_interleave(8)[:, None].expand(48, 64)[None]


class IntensityOfLabels(RandSynthFMIntensity):
    """The appearance generator on fixed labels, so that it is called like the others."""

    def __call__(self, labels: torch.Tensor = LABELS) -> MetaTensor:
        return super().__call__(labels)

    def replay(self, *args: Any) -> MetaTensor:
        return super().replay(*args) if len(args) == 2 else super().replay(LABELS, *args)


GENERATORS: dict[str, Callable[[], RandGenerator]] = {
    "shapes": lambda: RandBezierShapes(SIZE),
    "labels": lambda: RandSynthMorphLabels(SIZE),
    "boundary": lambda: RandBoundaryMask(SIZE),
    "volume": lambda: RandBoundaryMask((12, 16, 20)),
    "intensity": IntensityOfLabels,
    "synthfm-shape": lambda: RandSynthFM(SIZE, module="shape", native_size=(40, 80)),
    "synthfm-boundary": lambda: RandSynthFM(SIZE, module="boundary", native_size=(40, 80)),
    "synthfm-both": lambda: RandSynthFM(SIZE, native_size=None),
}


@pytest.fixture(params=GENERATORS)
def make(request: pytest.FixtureRequest) -> Callable[[int], Any]:
    return lambda seed: GENERATORS[request.param]().set_random_state(seed=seed)


def tensors(result: Any) -> tuple[MetaTensor, ...]:
    return result if isinstance(result, tuple) else (result,)


def same(first: Any, second: Any) -> bool:
    pairs = zip(tensors(first), tensors(second), strict=True)
    return all(a.dtype == b.dtype and torch.equal(a.as_tensor(), b.as_tensor()) for a, b in pairs)


def global_state() -> tuple[Any, ...]:
    kind, keys, *rest = np.random.get_state()
    return random.getstate(), kind, keys.tolist(), rest, torch.get_rng_state().tolist()


def test_the_parameters_in_the_meta_data_replay_the_result(make: Callable[[int], Any]) -> None:
    for seed in range(4):
        result = make(seed)()
        texts = {tensor.meta[META_KEY] for tensor in tensors(result)}
        assert len(texts) == 1
        text = texts.pop()
        assert isinstance(text, str)
        again = make(99).replay(text)
        assert same(result, again)
        assert {tensor.meta[META_KEY] for tensor in tensors(again)} == {text}


def test_replay_draws_no_random_numbers(make: Callable[[int], Any]) -> None:
    generator = make(3)
    params = generator.params or (generator(), generator.params)[1]
    before = pickle.dumps(generator.R.get_state())
    generator.replay(params)
    assert pickle.dumps(generator.R.get_state()) == before


def test_seeds_decide(make: Callable[[int], Any]) -> None:
    assert same(make(0)(), make(0)())
    assert not same(make(0)(), make(1)())


def test_following_samples_differ(make: Callable[[int], Any]) -> None:
    generator = make(0)
    assert not same(generator(), generator())


def test_global_randomness_is_neither_used_nor_touched(make: Callable[[int], Any]) -> None:
    results, states = [], []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        generator = make(7)
        before = global_state()
        results.append(generator())
        states.append(before == global_state())
    assert same(*results)
    assert states == [True, True]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda generator: pickle.loads(pickle.dumps(generator))])
def test_a_copy_continues_like_its_original(make: Callable[[int], Any], duplicate: Callable[[Any], Any]) -> None:
    original = make(5)
    original()
    twin = duplicate(original)
    expected = [original(), original()]
    assert same(twin(), expected[0])
    assert same(twin(), expected[1])


@pytest.mark.parametrize("workers", [0, 2])
def test_results_batch_in_a_data_loader(make: Callable[[int], Any], workers: int) -> None:
    generator = make(0)
    dataset = Dataset([0, 1, 2, 3], transform=lambda _: tensors(generator()))
    for batch in DataLoader(dataset, batch_size=2, num_workers=workers):
        for tensor in batch:
            assert tensor.shape[:2] == (2, 1)
            assert [type(text) for text in tensor.meta[META_KEY]] == [str, str]


@pytest.mark.parametrize("value", [(2, 1), (0,), (0, 1, 2), 1.0, "ab", (-1, 0), (0, 3), (0, float("nan"))])
def test_a_wrong_range_is_named(value: Any) -> None:
    with pytest.raises(ValueError, match=r"radius must be \(minimum, maximum\) within \[0, 2\], got"):
        check_range("radius", value, low=0.0, high=2.0)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", None])
def test_a_wrong_probability_is_named(value: Any) -> None:
    with pytest.raises(ValueError, match=r"phantom_prob must be a probability in \[0, 1\], got"):
        check_probability("phantom_prob", value)


def test_integers_include_both_ends() -> None:
    state = np.random.RandomState(0)
    drawn = [draw_integer(state, (2, 4)) for _ in range(300)]
    np.testing.assert_allclose(np.bincount(drawn)[2:], 100, atol=30)


def test_log_uniform_gives_every_octave_the_same_share() -> None:
    state = np.random.RandomState(0)
    octaves = np.floor(np.log2([draw_log_uniform(state, (1.0, 16.0)) for _ in range(2000)]))
    np.testing.assert_allclose(np.bincount(octaves.astype(int)), 500, atol=80)

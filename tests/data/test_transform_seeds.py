# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Which random transforms a seed reaches, wherever they are hidden."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from monai.transforms import (
    Compose,
    Lambdad,
    OneOf,
    RandFlipd,
    RandLambda,
    RandLambdad,
    RandShiftIntensityd,
    ScaleIntensityd,
)

from monai_synthfm.data.transform_seeds import check_seedable, random_parts

SHIFT = RandShiftIntensityd("image", 1.0, prob=1.0)


def shifted(sample: dict[str, Any]) -> Any:
    return next(SHIFT(sample) for _ in range(1))


class Holder:
    """Calls a random transform and has no seed to hand on."""

    def __init__(self, transform: Any) -> None:
        self.steps = {"first": [transform]}

    def __call__(self, sample: Any) -> Any:
        return self.steps["first"][0](sample)


class Forgetful(RandLambda):
    """A random transform that forgets to seed its part."""

    def __init__(self) -> None:
        super().__init__(lambda sample: sample)
        self.shift = RandShiftIntensityd("image", 1.0, prob=1.0)


def unseeded() -> dict[str, Callable[..., Any]]:
    shift = RandShiftIntensityd("image", 1.0, prob=1.0)
    both = Compose([shift])
    return {
        "closure": lambda sample: shift(sample),
        "global": shifted,
        "global in a lambda": lambda sample: (lambda: SHIFT(sample))(),
        "default": lambda sample, step=shift: step(sample),
        "function of a function": lambda sample: shifted(sample),
        "partial": functools.partial(lambda step, sample: step(sample), shift),
        "method": shift.__call__,
        "object": Holder(shift),
        "method of an object": Holder(shift).__call__,
        "compose of lambdas": Compose([lambda sample: shift(sample)]),
        "lambda around a compose": lambda sample: both(sample),
        "Lambdad": Compose([Compose([Lambdad("image", lambda image: shift({"image": image})["image"])])]),
        "RandLambdad": RandLambdad("image", lambda image: shift({"image": image})["image"]),
        "one of lambdas": OneOf([lambda sample: shift(sample), ScaleIntensityd("image")]),
        "forgetful": Forgetful(),
    }


@pytest.mark.parametrize("name", unseeded())
def test_random_transforms_that_no_seed_reaches_are_named(name: str) -> None:
    message = (
        r"augment must hand seeds on to all its random transforms, but does not to (Compose, )?RandShiftIntensityd"
    )
    with pytest.raises(ValueError, match=message):
        check_seedable(unseeded()[name], "augment")


def test_all_random_parts_are_found_once_but_not_those_within_monais_own() -> None:
    first, second, third = (RandFlipd("image", prob=0.5) for _ in range(3))
    holder = Holder([first, {"a": functools.partial(second)}, lambda sample: third(sample), first])
    assert sorted(map(id, random_parts(holder))) == sorted(map(id, (first, second, third)))
    assert list(random_parts(first)) == [first]  # a RandFlipd holds a RandFlip, which it seeds itself
    assert list(random_parts(len)) == []


def test_the_check_seeds_what_takes_a_seed() -> None:
    flips = Compose([RandFlipd("image", prob=0.5)])
    before = flips.transforms[0].R
    check_seedable(flips)
    assert flips.transforms[0].R is not before
    check_seedable(np.negative)

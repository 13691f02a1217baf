# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Whether seeding a transform reaches all random transforms in it."""

from __future__ import annotations

import dis
import functools
import inspect
import logging
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable
from torch.utils.data import Dataset

__all__ = ["check_seedable", "random_parts"]

_PLAIN = (str, bytes, int, float, complex, type, types.ModuleType, np.ndarray, np.generic, torch.Tensor, type(None))
_APART = (torch.nn.Module, Dataset, logging.Logger)  # hold much, and nothing that transforms a sample


def check_seedable(transform: Any, name: str = "transform") -> None:
    """Check that ``transform.set_random_state`` seeds every random transform that the transform holds.

    MONAI's ``Compose`` and random transforms hand their seed on. A lambda or function has none to hand on to the random
    transforms that it calls, nor has a ``Compose`` for what such a lambda calls. Numbers that a function draws from
    numpy's or torch's global state are nothing that can be found.

    Args:
        transform: any callable; it is seeded where it can be.
        name: of the argument, for the message.

    Raises:
        ValueError: naming the random transforms that no seed reaches.

    Example:
        >>> from monai.transforms import Compose, RandFlipd
        >>> flip = RandFlipd("image", prob=0.5)
        >>> check_seedable(Compose([flip]))
        >>> check_seedable(lambda data: flip(data))
        Traceback (most recent call last):
        ...
        ValueError: transform must hand seeds on to all its random transforms, but does not to RandFlipd: ...
    """
    parts = list(random_parts(transform))
    before = [part.R for part in parts]
    if hasattr(transform, "set_random_state"):
        transform.set_random_state(seed=0)
    seeded = {id(part) for part, state in zip(parts, before, strict=True) if part.R is not state}
    unseeded = [part for part in parts if id(part) not in seeded and not _hands_on(part, seeded)]
    if unseeded:
        found = ", ".join(sorted({type(part).__name__ for part in unseeded}))
        raise ValueError(
            f"{name} must hand seeds on to all its random transforms, but does not to {found}: "
            f"put them into monai.transforms.Compose without a function around them, or give what holds them a "
            f"method set_random_state."
        )


def _hands_on(holder: Randomizable, seeded: set[int]) -> bool:
    """Return whether an object that was not seeded itself has handed the seed on, as one that only holds others."""
    return any(id(part) in seeded for part in vars(holder).values())


def random_parts(holder: Any) -> Iterator[Randomizable]:
    """Yield every ``Randomizable`` that an object is or holds: in attributes, containers, partial functions, and what
    functions refer to; parts of MONAI's own random transforms are left out."""
    waiting, seen = [holder], {}
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, (*_PLAIN, *_APART)):
            continue
        seen[id(one)] = one  # kept alive, so that no other object gets its id
        if isinstance(one, Randomizable):
            yield one
        waiting.extend(_held(one))


def _held(one: Any) -> Iterable[Any]:
    if isinstance(one, Mapping):
        return one.values()
    if isinstance(one, (list, tuple, set, frozenset)):
        return one
    if isinstance(one, functools.partial):
        return (one.func, *one.args, *one.keywords.values())
    if inspect.ismethod(one):
        return (one.__self__, one.__func__)
    if inspect.isfunction(one):
        return (*_used_names(one), *(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values(), vars(one))
    held = getattr(one, "__dict__", {}).values()
    if isinstance(one, Randomizable) and type(one).__module__.startswith("monai."):
        # MONAI's own transforms seed their parts, a few of them only when they are called
        return [part for part in held if not isinstance(part, Randomizable)]
    return held


def _used_names(function: types.FunctionType) -> Iterator[Any]:
    """What a function and those within it call by a name from outside; attributes of these are no names."""
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # not filled yet
            yield cell.cell_contents
    codes = [function.__code__]
    for code in codes:
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
        for step in dis.get_instructions(code):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval in function.__globals__:
                yield function.__globals__[step.argval]

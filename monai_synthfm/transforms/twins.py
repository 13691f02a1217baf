# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What all dictionary twins of random transforms share."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping
from typing import Any, ClassVar

from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import TransformBackends

from monai_synthfm.transforms.random_state import SharedRandomizable
from monai_synthfm.utils.switches import reads_switches

__all__ = ["RandTwin", "with_options"]


@reads_switches
class RandTwin(SharedRandomizable, RandomizableTransform, MapTransform):
    """Base of dictionary twins: hands items to an array transform, ``generator``, which it seeds.

    A twin names the class of its array transform, whose arguments are keyword arguments of the twin too, and show in
    its signature.

    Args:
        keys: what is transformed or made.
        prob: probability that an item is changed; with 1, nothing is drawn for it.
        allow_missing_keys: leave out keys that an item does not have.
        kwargs: of ``generator_type``.

    Raises:
        ValueError: when ``prob`` is not in [0, 1].
    """

    backend: ClassVar[list[TransformBackends]] = [TransformBackends.TORCH]
    generator_type: ClassVar[Callable[..., Any]]
    options_type: ClassVar[Callable[..., Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        options = vars(cls).get("options_type", vars(cls).get("generator_type"))
        if options is not None:
            cls.__signature__ = with_options(cls.__init__, options)

    def __init__(
        self, keys: KeysCollection, prob: float = 1.0, allow_missing_keys: bool = False, **kwargs: Any
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        if not 0.0 <= prob <= 1.0:
            raise ValueError(f"prob must be a probability in [0, 1], got {prob!r}.")
        RandomizableTransform.__init__(self, prob)
        self.generator = self.generator_type(**kwargs)

    def randomize(self, data: Any = None) -> None:
        """Draw whether the next item is changed."""
        self._do_transform = self.prob >= 1.0 or self.R.rand() < self.prob

    @abstractmethod
    def change(self, item: dict[Hashable, Any]) -> None:
        """Put what the array transform gives into an item."""

    def keep(self, item: dict[Hashable, Any]) -> None:
        """Make an item that is not changed like those that are, in types for instance."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of an item, changed with the probability ``prob``."""
        item = dict(data)
        self.randomize()
        (self.change if self._do_transform else self.keep)(item)
        return item


def with_options(twin: Callable[..., Any], options: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a twin with the arguments of its array transform in the place of ``**kwargs``.

    Args:
        twin: its ``__init__``.
        options: the class of the array transform.
    """
    own = list(inspect.signature(twin).parameters.values())[1:]
    named = [one for one in own if one.kind is not inspect.Parameter.VAR_KEYWORD]
    if len(named) < len(own):
        known = {one.name for one in named}
        others = [one for name, one in inspect.signature(options).parameters.items() if name not in known]
        named += [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in others]
    return inspect.Signature(named)

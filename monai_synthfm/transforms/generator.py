# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What all generators share: parameters drawn in ``randomize``, a pure ``replay``, and reading ranges."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor, get_track_meta
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_tensor

from monai_synthfm.synthesis.params import Params
from monai_synthfm.transforms.random_state import SharedRandomizable
from monai_synthfm.transforms.twins import RandTwin

__all__ = [
    "META_KEY",
    "RandGenerator",
    "RandGeneratord",
    "RandLabelGeneratord",
    "check_probability",
    "check_range",
    "draw_integer",
    "draw_log_uniform",
    "draw_seed",
]

META_KEY = "synthfm"


class RandGenerator(SharedRandomizable, Transform):
    """Base of transforms that generate: ``randomize`` draws ``self.params`` through ``self.R``, ``replay`` makes the
    result of parameters.

    Those that need no input take one all the same and do not look at it, so that they can stand first in a ``Compose``.
    With ``monai.data.set_track_meta(False)`` results are plain tensors, and ``params`` alone holds the parameters.

    Args:
        device: where tensors are computed.
    """

    backend: ClassVar[list[TransformBackends]] = [TransformBackends.TORCH]
    params_type: ClassVar[type[Params]]

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.params: Any = None

    @abstractmethod
    def replay(self, *args: Any, **kwargs: Any) -> Any:
        """Return what parameters stand for, given last: a dataclass, its JSON text (``meta["synthfm"]``) or that text's
        dictionary."""

    def __call__(self, data: Any = None) -> Any:
        """Draw parameters and return what they stand for."""
        self.randomize()
        return self.replay(self.params)

    def parse(self, params: Params | str | Mapping[str, Any]) -> Any:
        """Return the parameters of this generator from any of the forms that ``replay`` takes."""
        return self.params_type.parse(params)

    def as_meta_tensor(
        self, tensor: torch.Tensor, params: Params, source: Any = None, affine: torch.Tensor | None = None
    ) -> MetaTensor:
        """Add the channel dimension and let the parameters travel with the tensor.

        What is made of a MetaTensor ``source`` lies where that lies, and what is invertible for it is invertible for
        the result.
        """
        result = MetaTensor(tensor[None], affine=affine)
        if isinstance(source, MetaTensor):
            result.copy_meta_from(source)
        result.meta[META_KEY] = params.to_json()
        return convert_to_tensor(result, track_meta=get_track_meta())


class RandGeneratord(RandTwin):
    """Base of dictionary transforms that add a generated image and its instance labels to a dictionary, which may be
    empty.

    Args:
        keys: names of image and label.
        prob: probability that an item gets them, or gets others in the place of its own.
        allow_missing_keys: without effect: keys are made, not read.
        kwargs: of ``generator_type``.

    Raises:
        ValueError: when ``keys`` are not as many names as there are ``outputs``.
    """

    outputs: ClassVar[tuple[str, ...]] = ("image", "label")

    def __init__(
        self,
        keys: KeysCollection = ("image", "label"),
        prob: float = 1.0,
        allow_missing_keys: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(keys, prob, allow_missing_keys, **kwargs)
        if len(self.keys) != len(self.outputs):
            raise ValueError(f"keys must name the {' and the '.join(self.outputs)} to generate, got {keys!r}.")

    def change(self, item: dict[Hashable, Any]) -> None:
        made = self.generator()
        item.update(zip(self.keys, made if isinstance(made, tuple) else (made,), strict=True))


class RandLabelGeneratord(RandGeneratord):
    """Base of dictionary transforms that add a generated label map to a dictionary, which may be empty.

    Args:
        keys: name of the label map.
        prob: probability that an item gets it, or gets another one in the place of its own.
        allow_missing_keys: without effect: the key is made, not read.
        kwargs: of ``generator_type``.

    Raises:
        ValueError: when ``keys`` are not one name.
    """

    outputs = ("label map",)

    def __init__(
        self, keys: KeysCollection = "label", prob: float = 1.0, allow_missing_keys: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(keys, prob, allow_missing_keys, **kwargs)


def check_range(name: str, value: Sequence[float], low: float = -np.inf, high: float = np.inf) -> tuple[float, float]:
    """Return a (minimum, maximum) argument after checking that it is ordered and within limits.

    Raises:
        ValueError: naming the argument.
    """
    pair = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else ()
    if len(pair) != 2 or not low <= pair[0] <= pair[1] <= high:
        raise ValueError(f"{name} must be (minimum, maximum) within [{low:g}, {high:g}], got {value!r}.")
    return pair


def check_probability(name: str, value: float) -> float:
    """Return a probability after checking that it is one.

    Raises:
        ValueError: naming the argument.
    """
    if not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must be a probability in [0, 1], got {value!r}.")
    return float(value)


def draw_integer(random: np.random.RandomState, bounds: Sequence[float]) -> int:
    """Draw an integer between two bounds, both included."""
    return int(random.randint(int(bounds[0]), int(bounds[1]) + 1))


def draw_log_uniform(random: np.random.RandomState, bounds: Sequence[float]) -> float:
    """Draw a number whose logarithm is uniform, so that every octave of sizes is as frequent as the next."""
    return float(np.exp(random.uniform(np.log(bounds[0]), np.log(bounds[1]))))


def draw_seed(random: np.random.RandomState) -> int:
    """Draw a seed for a ``torch.Generator``."""
    return int(random.randint(2**31 - 1))

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random noise transforms that MONAI lacks: Poisson noise, (correlated) speckle and Perlin texture.

For Gaussian and Rician noise and for blur use MONAI's ``RandGaussianNoise``, ``RandRicianNoise`` and
``RandGaussianSmooth``. ``randomize`` draws a small params dataclass through ``self.R``; ``apply`` is a pure function
of it, the image and the image's device. Nothing is clipped.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data.meta_obj import get_track_meta
from monai.transforms import RandomizableTransform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from monai_synthfm.synthesis.draws import seeded_generator
from monai_synthfm.synthesis.noise import FULLY_DEVELOPED_STD, SPECKLE_MODELS, poisson_noise, speckle_noise
from monai_synthfm.synthesis.params import Params
from monai_synthfm.synthesis.textures import MIN_CELL, fractal_noise
from monai_synthfm.transforms.generator import check_range, draw_integer, draw_log_uniform, draw_seed
from monai_synthfm.transforms.random_state import SharedRandomizable
from monai_synthfm.transforms.twins import RandTwin

__all__ = [
    "PerlinTextureParams",
    "PoissonNoiseParams",
    "RandNoise",
    "RandNoised",
    "RandPerlinTexture",
    "RandPerlinTextureD",
    "RandPerlinTextureDict",
    "RandPerlinTextured",
    "RandPoissonNoise",
    "RandPoissonNoiseD",
    "RandPoissonNoiseDict",
    "RandPoissonNoised",
    "RandSpeckleNoise",
    "RandSpeckleNoiseD",
    "RandSpeckleNoiseDict",
    "RandSpeckleNoised",
    "SpeckleNoiseParams",
]

TEXTURE_MODES = ("additive", "multiplicative")


@dataclass(frozen=True)
class PoissonNoiseParams(Params):
    """One draw of ``RandPoissonNoise``: photons at intensity 1, and the seed of the counts."""

    peak: float
    seed: int


@dataclass(frozen=True)
class SpeckleNoiseParams(Params):
    """One draw of ``RandSpeckleNoise``: std of the factor, correlation in pixels, model, and the seed of the field."""

    std: float
    correlation: float
    model: str
    seed: int


@dataclass(frozen=True)
class PerlinTextureParams(Params):
    """One draw of ``RandPerlinTexture``: std, largest cell in pixels, octaves, mode, and the seed of the texture."""

    amplitude: float
    scale: float
    octaves: int
    mode: str
    seed: int


class RandNoise(SharedRandomizable, RandomizableTransform):
    """Base of the array transforms: draw params when ``prob`` hits, apply them to a channel-first image.

    Args:
        prob: probability of the noise.
    """

    backend: ClassVar[list[TransformBackends]] = [TransformBackends.TORCH]

    def __init__(self, prob: float = 0.1) -> None:
        RandomizableTransform.__init__(self, prob)
        self.params: Any = None

    @abstractmethod
    def draw(self) -> Params:
        """Draw the params of one call."""

    @abstractmethod
    def apply(self, img: torch.Tensor, params: Any) -> torch.Tensor:
        """Return a noisy copy of the floating-point image ``[C, *spatial]``: a function of the arguments alone."""

    def randomize(self, data: Any = None) -> None:
        """Draw ``self.params``; None when this call leaves the image as it is."""
        super().randomize(None)
        self.params = self.draw() if self._do_transform else None

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """Add noise to ``[C, *spatial]``; ``randomize=False`` repeats the last draw. Integers become float32."""
        if randomize:
            self.randomize()
        img = convert_to_tensor(img, track_meta=get_track_meta())
        if not img.is_floating_point():
            img = img.float()
        if self.params is None:
            return img
        return convert_to_dst_type(self.apply(convert_to_tensor(img, track_meta=False), self.params), img)[0]


class RandNoised(RandTwin):
    """Base of the dictionary transforms, which name their ``generator_type``: one draw is applied to all keys.

    Args:
        keys: keys of the images.
        prob: probability of the noise.
        allow_missing_keys: skip keys that are not in the dictionary.
        kwargs: of ``generator_type``.
    """

    def __init__(
        self, keys: KeysCollection, prob: float = 0.1, allow_missing_keys: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(keys, prob, allow_missing_keys, **kwargs)

    def randomize(self, data: Any = None) -> None:
        """Draw the params that all keys share."""
        RandomizableTransform.randomize(self, data)
        self.generator.params = self.generator.draw() if self._do_transform else None

    def change(self, item: dict[Hashable, Any]) -> None:
        """Put the same noise into all keys (of equal shape), or none if none was drawn."""
        for key in self.key_iterator(item):
            item[key] = self.generator(item[key], randomize=False)

    keep = change


class RandPoissonNoise(RandNoise):
    """Count photons with a random dose: see :func:`~monai_synthfm.synthesis.noise.poisson_noise`.

    Args:
        prob: probability of the noise.
        peak: photons at intensity 1 (least, most), drawn log-uniformly, so images should be about [0, 1]. 20 makes a
            standard deviation of 0.22 there, 2000 of 0.022. Not given in the paper; our choice.

    Raises:
        ValueError: when ``peak`` is not an ordered pair above 0.

    Example:
        >>> noisy = RandPoissonNoise(prob=1.0).set_random_state(0)(torch.rand(1, 32, 32))
        >>> noisy.shape
        torch.Size([1, 32, 32])
    """

    def __init__(self, prob: float = 0.1, peak: tuple[float, float] = (20.0, 2000.0)) -> None:
        super().__init__(prob)
        self.peak = check_range("peak", peak, low=float(np.finfo(np.float32).tiny))

    def draw(self) -> PoissonNoiseParams:
        return PoissonNoiseParams(peak=draw_log_uniform(self.R, self.peak), seed=draw_seed(self.R))

    def apply(self, img: torch.Tensor, params: PoissonNoiseParams) -> torch.Tensor:
        return poisson_noise(img, params.peak, generator=seeded_generator(params.seed))


class RandSpeckleNoise(RandNoise):
    """Multiply by a random speckle field: I (1 + std n), see :func:`~monai_synthfm.synthesis.noise.speckle_noise`.

    Args:
        prob: probability of the noise.
        std: standard deviation of the factor (least, most). Not given in the paper; our choice.
        correlation: standard deviation in pixels of the correlating kernel (least, most). Not given in the paper; our
            choice.
        model: ``gaussian``, or ``rayleigh`` for ultrasound, where ``std`` is at most 0.5227 (fully developed).

    Raises:
        ValueError: when a range or ``model`` is not as above.

    Example:
        >>> speckle = RandSpeckleNoise(prob=1.0, std=(0.1, 0.5), model="rayleigh").set_random_state(0)
        >>> bool(speckle(torch.ones(1, 32, 32)).min() >= 0)
        True
    """

    def __init__(
        self,
        prob: float = 0.1,
        std: tuple[float, float] = (0.05, 0.3),
        correlation: tuple[float, float] = (0.0, 2.0),
        model: str = "gaussian",
    ) -> None:
        super().__init__(prob)
        if model not in SPECKLE_MODELS:
            raise ValueError(f"model must be one of {', '.join(SPECKLE_MODELS)}, got {model!r}.")
        self.std = check_range("std", std, low=0.0, high=FULLY_DEVELOPED_STD if model == "rayleigh" else np.inf)
        self.correlation = check_range("correlation", correlation, low=0.0)
        self.model = model

    def draw(self) -> SpeckleNoiseParams:
        return SpeckleNoiseParams(
            std=float(self.R.uniform(*self.std)),
            correlation=float(self.R.uniform(*self.correlation)),
            model=self.model,
            seed=draw_seed(self.R),
        )

    def apply(self, img: torch.Tensor, params: SpeckleNoiseParams) -> torch.Tensor:
        generator = seeded_generator(params.seed)
        return speckle_noise(img, params.std, generator=generator, correlation=params.correlation, model=params.model)


class RandPerlinTexture(RandNoise):
    """Add a random fractal Perlin texture T of variance 1, I + a T, or multiply by it, I (1 + a T).

    All channels get the same texture, see :func:`~monai_synthfm.synthesis.textures.fractal_noise`.

    Args:
        prob: probability of the texture.
        amplitude: its standard deviation a (least, most), in units of the intensity, or of the factor when
            multiplicative. Not given in the paper; our choice.
        scale: largest cell in pixels (least, most), drawn log-uniformly, at least 2. Not given in the paper; our
            choice.
        octaves: number of octaves (least, most), integers. Not given in the paper; our choice.
        mode: ``additive`` or ``multiplicative``.

    Raises:
        ValueError: when a range or ``mode`` is not as above.

    Example:
        >>> textured = RandPerlinTexture(prob=1.0, amplitude=(0.1, 0.1)).set_random_state(0)(torch.zeros(1, 64, 64))
        >>> round(textured.std(correction=0).item(), 4)
        0.1
    """

    def __init__(
        self,
        prob: float = 0.1,
        amplitude: tuple[float, float] = (0.02, 0.1),
        scale: tuple[float, float] = (8.0, 128.0),
        octaves: tuple[int, int] = (1, 4),
        mode: str = "additive",
    ) -> None:
        super().__init__(prob)
        if mode not in TEXTURE_MODES:
            raise ValueError(f"mode must be one of {', '.join(TEXTURE_MODES)}, got {mode!r}.")
        self.amplitude = check_range("amplitude", amplitude, low=0.0)
        self.scale = check_range("scale", scale, low=MIN_CELL)
        self.octaves = check_range("octaves", octaves, low=1)
        self.mode = mode

    def draw(self) -> PerlinTextureParams:
        return PerlinTextureParams(
            amplitude=float(self.R.uniform(*self.amplitude)),
            scale=draw_log_uniform(self.R, self.scale),
            octaves=draw_integer(self.R, self.octaves),
            mode=self.mode,
            seed=draw_seed(self.R),
        )

    def apply(self, img: torch.Tensor, params: PerlinTextureParams) -> torch.Tensor:
        generator = seeded_generator(params.seed)
        texture = fractal_noise(
            img.shape[1:], params.scale, octaves=params.octaves, generator=generator, device=img.device
        )
        change = params.amplitude * texture.to(img.dtype)
        return img + change if params.mode == "additive" else img * (1 + change)


class RandPoissonNoised(RandNoised):
    """Dictionary twin of :class:`RandPoissonNoise`, whose arguments follow ``keys``, see :class:`RandNoised`.

    Example:
        >>> RandPoissonNoised("image", prob=1.0).set_random_state(0)({"image": torch.rand(1, 8, 8)})["image"].shape
        torch.Size([1, 8, 8])
    """

    generator_type = RandPoissonNoise


class RandSpeckleNoised(RandNoised):
    """Dictionary twin of :class:`RandSpeckleNoise`, whose arguments follow ``keys``, see :class:`RandNoised`."""

    generator_type = RandSpeckleNoise


class RandPerlinTextured(RandNoised):
    """Dictionary twin of :class:`RandPerlinTexture`, whose arguments follow ``keys``, see :class:`RandNoised`."""

    generator_type = RandPerlinTexture


RandPoissonNoiseD = RandPoissonNoiseDict = RandPoissonNoised
RandSpeckleNoiseD = RandSpeckleNoiseDict = RandSpeckleNoised
RandPerlinTextureD = RandPerlinTextureDict = RandPerlinTextured

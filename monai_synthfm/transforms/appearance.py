# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random appearance of regions: SynthFM's contrast, textures, blur and noise on generated or given label maps."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, Protocol

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.utils import ensure_tuple

from monai_synthfm.synthesis.anatomy import AnatomyParams
from monai_synthfm.synthesis.appearance import NOISES, AppearanceParams, NoiseParams, TextureParams, render_regions
from monai_synthfm.synthesis.boundaries import CanvasParams
from monai_synthfm.synthesis.intensities import shape_intensities
from monai_synthfm.synthesis.numbering import consecutive_labels
from monai_synthfm.synthesis.params import Params
from monai_synthfm.transforms.generator import (
    RandGenerator,
    check_probability,
    check_range,
    draw_integer,
    draw_log_uniform,
    draw_seed,
)
from monai_synthfm.transforms.label_values import whole_labels
from monai_synthfm.transforms.twins import RandTwin

__all__ = ["RandSynthFMIntensity", "RandSynthFMIntensityD", "RandSynthFMIntensityDict", "RandSynthFMIntensityd"]

_FAINTEST = 0.015  # smallest contrast of faint anatomies, four of 255 grey levels
_FAINT_LIMIT = 0.06  # smallest upper end of their contrasts
_NOISY_CONTRAST = 0.25  # upper end from which on they are as noisy as others
_STRONG_PROB = 0.15  # of a part of them that has the contrast of others: bone, air
_VESSEL_STRONG_PROB = 0.5  # of a vessel, a core or a sinus of an organ of several greys
_CLASS_STRONG_PROB = 0.25  # of a sub-class of it; the others differ less than organs do
_CLASS_CONTRAST = 0.4
_BODY = (0.15, 0.7)  # intensity of their bodies on black ground


class PartLike(Protocol):
    """What intensities need to know of a part, in two or three dimensions."""

    @property
    def parent(self) -> int: ...
    @property
    def label(self) -> int: ...
    @property
    def like(self) -> int: ...


class RandSynthFMIntensity(RandGenerator):
    """Generate an image from a label map by SynthFM's contrast rule and noise library.

    The background (label 0) takes one random intensity, every other label one at a random distance from it; textures,
    blur and noise follow.

    Source: SynthFM, section 3.1, names contrast heuristic, Gaussian, Poisson, Perlin, speckle and Rician noise, and
    blur. Every range and probability is not given in the paper; our choice.

    Args:
        background: range of the background's intensity, 0 to 1.
        contrast: range of a label's distance from what it lies on, 0 to 0.5, drawn log-uniformly so that low contrasts
            are frequent.
        texture_prob: probability that an image has a texture, separately for Perlin and for grain, and that a region of
            such an image has it.
        texture_strength: range of a region's standard deviation of texture.
        texture_scale: range of the Perlin texture's cell size as a fraction of the image side.
        grain_scale: range of the grain's correlation length in pixels.
        blur: range of the standard deviation of the edge blur in pixels.
        noises: names of the noises to choose from: gaussian, poisson, perlin, speckle, rician.
        num_noises: range of the number of different noises in an image.
        noise_strength: range of a noise's standard deviation at intensity 1, drawn log-uniformly.
        canvas_width: range of the width b - a of a boundary image's canvas values.
        canvas_scatter: range of the share of canvas values scattered over the whole interval.
        canvas_shift: range of the absolute difference between a boundary image's background and its canvas' mean, of
            random sign.
        faint_prob: probability that most parts of an anatomy, but not its body and some of its organs, differ little
            from what they lie in, in an image with as much less texture and noise: soft tissue in a wide window.
        device: where to compute.

    Returns:
        ``__call__`` takes a label map ``[1, *spatial]`` of whole numbers, 0 for the background, and returns a
        MetaTensor ``[1, *spatial]`` float32 in [0, 1]; ``replay`` takes the label map and the parameters. Labels may
        leave numbers out, and be large as those of atlases are: each gets an intensity in their order.

    Raises:
        ValueError: when a range is not ordered or outside its limits, a noise is unknown, or a label map is not one of
            whole numbers in 2D or 3D.

    Example:
        >>> labels = torch.zeros(1, 32, 32, dtype=torch.long)
        >>> labels[:, 8:20, 8:20] = 1
        >>> image = RandSynthFMIntensity().set_random_state(seed=0)(labels)
        >>> image.shape, image.dtype
        (torch.Size([1, 32, 32]), torch.float32)
    """

    params_type = AppearanceParams

    def __init__(
        self,
        background: Sequence[float] = (0.0, 1.0),
        contrast: Sequence[float] = (0.05, 0.5),
        texture_prob: float = 0.5,
        texture_strength: Sequence[float] = (0.0, 0.1),
        texture_scale: Sequence[float] = (0.02, 0.3),
        grain_scale: Sequence[float] = (0.6, 4.0),
        blur: Sequence[float] = (0.0, 2.0),
        noises: Sequence[str] = ("gaussian", "poisson", "perlin", "speckle", "rician"),
        num_noises: Sequence[int] = (0, 2),
        noise_strength: Sequence[float] = (0.005, 0.1),
        canvas_width: Sequence[float] = (0.02, 0.25),
        canvas_scatter: Sequence[float] = (0.0, 0.1),
        canvas_shift: Sequence[float] = (0.03, 0.25),
        faint_prob: float = 0.0,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(device)
        unknown = sorted(set(noises) - set(NOISES))
        if unknown:
            raise ValueError(f"noises must be some of {', '.join(NOISES)}, got {unknown}.")
        self.background = check_range("background", background, low=0.0, high=1.0)
        self.contrast = check_range("contrast", contrast, low=1e-6, high=0.5)
        self.texture_prob = check_probability("texture_prob", texture_prob)
        self.texture_strength = check_range("texture_strength", texture_strength, low=0.0)
        self.texture_scale = check_range("texture_scale", texture_scale, low=1e-4)
        self.grain_scale = check_range("grain_scale", grain_scale, low=0.1)
        self.blur = check_range("blur", blur, low=0.0)
        self.noises = tuple(noises)
        self.num_noises = check_range("num_noises", num_noises, low=0, high=len(self.noises))
        self.noise_strength = check_range("noise_strength", noise_strength, low=1e-6)
        self.canvas_width = check_range("canvas_width", canvas_width, low=0.0, high=1.0)
        self.canvas_scatter = check_range("canvas_scatter", canvas_scatter, low=0.0, high=1.0)
        self.canvas_shift = check_range("canvas_shift", canvas_shift, low=0.0, high=0.5)
        self.faint_prob = check_probability("faint_prob", faint_prob)

    def randomize(self, spatial_size: Sequence[int], num_labels: int) -> None:
        """Draw the appearance of a label map with ``num_labels`` labels above the background."""
        base = float(self.R.uniform(*self.background))
        self._finish(spatial_size, (base, *shape_intensities(base, self._draw_contrasts(num_labels))))

    def randomize_shapes(self, spatial_size: Sequence[int], num_shapes: int, phantom: bool) -> None:
        """Draw the appearance of shapes on a black canvas, or on a phantom (region ``num_shapes + 1``) on a black
        canvas."""
        base = float(self.R.uniform(*self.background)) if phantom else 0.0
        values = (0.0, *shape_intensities(base, self._draw_contrasts(num_shapes)), *([base] if phantom else []))
        self._finish(spatial_size, values, black_canvas=True)

    def randomize_anatomy(self, spatial_size: Sequence[int], anatomy: AnatomyParams) -> None:
        """Draw the appearance of an anatomy: each part differs from what it lies in, or is like an
        earlier one, and a wall differs from its part."""
        tissue = anatomy.tissue
        cells = (tissue.parent, tissue.label_map.num_labels) if tissue else (0, 0)
        mixtures = {mixture.part: mixture.label_map.num_labels - 1 for mixture in anatomy.mixtures}
        values, quiet = self.draw_part_values(anatomy.parts, *cells, mixtures)
        self._finish(spatial_size, values, values[0] == 0.0, quiet)

    def draw_part_values(
        self,
        parts: Sequence[PartLike],
        tissue_parent: int,
        num_cells: int,
        mixtures: Mapping[int, int] = MappingProxyType({}),
    ) -> tuple[tuple[float, ...], float]:
        """Draw the intensities of ground, parts, their walls, the cells of the tissue in one of them, and so many
        further sub-classes as parts by their number have; and how much less texture and noise than others such an image
        should have."""
        ground = float(self.R.uniform(*self.background)) * (self.R.rand() < 0.6)
        faint = self.R.rand() < self.faint_prob if self.faint_prob else False
        contrast = self._draw_faint_contrast() if faint else self.contrast
        if faint and any(part.label and part.parent == 0 for part in parts):
            ground = float(self.R.uniform(*_BODY))  # organs lie on it
        insides = [ground]
        for part in parts:
            if part.like:
                insides.append(insides[part.like])
            elif faint and ground == 0.0 and part.parent == 0 and part.label == 0:
                insides.append(float(self.R.uniform(*_BODY)))
            else:
                strong = faint and self.R.rand() < (_VESSEL_STRONG_PROB if part.parent in mixtures else _STRONG_PROB)
                insides.append(self._draw_beside(insides[part.parent], self.contrast if strong else contrast))
        walls = [self._draw_beside(value, contrast, brighter=0.75) for value in insides[1:]]
        cells = [self._draw_beside(insides[tissue_parent], contrast) for _ in range(num_cells)]
        classes: dict[int, list[float]] = {}
        for number, count in mixtures.items():
            alike = classes.get(parts[number - 1].like, [])[:count]
            near = (_CLASS_CONTRAST * contrast[0], _CLASS_CONTRAST * contrast[1])
            ranges = [self.contrast if self.R.rand() < _CLASS_STRONG_PROB else near for _ in range(len(alike), count)]
            classes[number] = alike + [self._draw_beside(insides[number], of_class) for of_class in ranges]
        quiet = min(1.0, contrast[1] / _NOISY_CONTRAST) if faint else 1.0
        return (*insides, *walls, *cells, *chain.from_iterable(classes.values())), quiet

    def _draw_faint_contrast(self) -> tuple[float, float]:
        """A range of contrasts of which the upper end is random, too."""
        high = draw_log_uniform(self.R, (min(_FAINT_LIMIT, self.contrast[1]), self.contrast[1]))
        return min(max(_FAINTEST, high / 8.0), high), high

    def _draw_beside(self, value: float, contrast: Sequence[float], brighter: float = 0.5) -> float:
        """An intensity at a random distance from another one, above 0; bright ones may exceed 1 (bone, contrast)."""
        shift = draw_log_uniform(self.R, contrast) * (1.0 if self.R.rand() < brighter else -1.0)
        return value - shift if value + shift < 0.0 else value + shift

    def randomize_canvas(self, spatial_size: Sequence[int]) -> None:
        """Draw the appearance of a boundary image: regions above 0 take the canvas, region 0 nearly its mean."""
        width = float(self.R.uniform(*self.canvas_width))
        low = float(self.R.uniform(0.0, 1.0 - width))
        shift = float(self.R.uniform(*self.canvas_shift))
        center = low + width / 2.0
        sign = 1.0 if self.R.rand() < 0.5 else -1.0
        # a shift that would leave the interval is turned round: the gap must stay visible
        shift = sign * shift if 0.0 <= center + sign * shift <= 1.0 else -sign * shift
        scatter = float(self.R.uniform(*self.canvas_scatter))
        self._finish(spatial_size, CanvasParams(low, low + width, scatter, (0.0, 1.0), shift, draw_seed(self.R)))

    def _draw_contrasts(self, count: int) -> list[float]:
        return [draw_log_uniform(self.R, self.contrast) for _ in range(count)]

    def _finish(
        self,
        spatial_size: Sequence[int],
        base: tuple[float, ...] | CanvasParams,
        black_canvas: bool = False,
        quiet: float = 1.0,
    ) -> None:
        regions = 2 if isinstance(base, CanvasParams) else len(base)
        side = max(spatial_size)
        textures = []
        for kind in ("perlin", "grain"):
            if self.R.rand() < self.texture_prob:
                perlin = kind == "perlin"
                scale = (
                    draw_log_uniform(self.R, self.texture_scale) * side
                    if perlin
                    else draw_log_uniform(self.R, self.grain_scale)
                )
                amplitudes = [
                    quiet * float(self.R.uniform(*self.texture_strength)) * (self.R.rand() < self.texture_prob)
                    for _ in range(regions)
                ]
                if black_canvas:
                    amplitudes[0] = 0.0
                textures.append(
                    TextureParams(kind, max(2.0, scale) if perlin else scale, tuple(amplitudes), draw_seed(self.R))
                )
        blur = float(self.R.uniform(*self.blur))
        chosen = self.R.permutation(len(self.noises))[: draw_integer(self.R, self.num_noises)]
        noises = tuple(self._draw_noise(self.noises[index], side, quiet) for index in chosen)
        self.params = AppearanceParams(base, tuple(textures), blur, noises)

    def _draw_noise(self, kind: str, side: int, quiet: float) -> NoiseParams:
        cell = max(2.0, draw_log_uniform(self.R, self.texture_scale) * side)
        scale = cell if kind == "perlin" else draw_log_uniform(self.R, self.grain_scale)
        return NoiseParams(kind, quiet * draw_log_uniform(self.R, self.noise_strength), scale, draw_seed(self.R))

    def replay(self, labels: NdarrayOrTensor, params: Params | str | Mapping[str, Any]) -> MetaTensor:
        parsed = self.parse(params)
        regions = self._regions(labels).to(self.device)
        if not isinstance(parsed.base, CanvasParams) and int(regions.max()) >= len(parsed.base):
            regions = consecutive_labels(regions)
        return self.as_meta_tensor(render_regions(regions, parsed), parsed, labels)

    def __call__(self, labels: NdarrayOrTensor) -> MetaTensor:  # type: ignore[override]  # an input is needed
        regions = self._regions(labels)
        self.randomize(regions.shape, int(consecutive_labels(regions).max()))
        return self.replay(labels, self.params)

    @staticmethod
    def _regions(labels: NdarrayOrTensor) -> torch.Tensor:
        if labels.ndim not in (3, 4) or labels.shape[0] != 1:
            raise ValueError(f"labels must be [1, *spatial] in 2D or 3D, got shape {tuple(labels.shape)}.")
        return whole_labels("labels", labels)[0]


class RandSynthFMIntensityd(RandTwin):
    """Dictionary twin of :class:`RandSynthFMIntensity`: adds a synthetic image made of the user's own label map.

    Args:
        keys: label maps ``[1, *spatial]``; each gets an appearance of its own.
        image_keys: where the images go, one for each of ``keys``.
        allow_missing_keys: whether a label map may be missing.
        prob: probability that an item gets images, or gets others in the place of its own.
        kwargs: of :class:`RandSynthFMIntensity`.

    Raises:
        ValueError: when there are not as many ``image_keys`` as ``keys``.

    Example:
        >>> transform = RandSynthFMIntensityd("label").set_random_state(seed=0)
        >>> sorted(transform({"label": torch.ones(1, 16, 16, dtype=torch.long)}))
        ['image', 'label']
    """

    generator_type = RandSynthFMIntensity

    def __init__(
        self,
        keys: KeysCollection = "label",
        image_keys: KeysCollection = "image",
        allow_missing_keys: bool = False,
        prob: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(keys, prob, allow_missing_keys, **kwargs)
        self.image_keys = ensure_tuple(image_keys)
        if len(self.image_keys) != len(self.keys):
            raise ValueError(
                f"image_keys must name one image for each of {list(self.keys)}, got {list(self.image_keys)}."
            )

    def change(self, item: dict[Hashable, Any]) -> None:
        for key, image_key in self.key_iterator(item, self.image_keys):
            item[image_key] = self.generator(item[key])


RandSynthFMIntensityD = RandSynthFMIntensityDict = RandSynthFMIntensityd

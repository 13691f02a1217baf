# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Other generators on the same work, in two or three dimensions: nothing where they are not installed."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from measuring import Sampler
from monai.utils import optional_import

from monai_synthfm.transforms import RandSynthMorphLabels

__all__ = ["cornucopia_samplers", "torchio_samplers"]


def cornucopia_samplers(size: tuple[int, ...], num_labels: int) -> Iterator[tuple[str, Sampler]]:
    """Label maps, and appearances of one of them."""
    cornucopia, installed = optional_import("cornucopia")
    if not installed:
        return
    labels = cornucopia.RandomSmoothLabelMap(nb_classes=num_labels)
    intensity = cornucopia.SynthFromLabelTransform(order=1, geom=False)
    canvas = torch.zeros(1, *size)

    def draw_labels(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return labels(canvas)

    fixed = draw_labels(0)

    def draw_intensity(seed: int) -> None:
        torch.manual_seed(seed)
        intensity(fixed)

    yield f"cornucopia RandomSmoothLabelMap, {num_labels} labels", draw_labels
    yield "cornucopia SynthFromLabelTransform, order 1, no geometry", draw_intensity


def torchio_samplers(size: tuple[int, ...], num_labels: int) -> Iterator[tuple[str, Sampler]]:
    """Appearances of a label map: intensities, bias field, blur and noise. TorchIO has no label maps of its own."""
    torchio, installed = optional_import("torchio")
    if not installed:
        return
    volume = (*size, 1) if len(size) == 2 else size
    labels = RandSynthMorphLabels(size, num_labels=(num_labels,) * 2).set_random_state(seed=0)()
    subject = torchio.Subject(label=torchio.LabelMap(tensor=labels.as_tensor().view(1, *volume).to(torch.int32)))
    synthesis = torchio.Compose(
        [
            torchio.RandomLabelsToImage(label_key="label", image_key="image", used_labels=range(num_labels)),
            torchio.RandomBiasField(include=("image",)),
            torchio.RandomBlur(include=("image",)),
            torchio.RandomNoise(include=("image",)),
        ]
    )

    def draw_intensity(seed: int) -> None:
        torch.manual_seed(seed)
        synthesis(subject)

    yield "TorchIO RandomLabelsToImage, RandomBiasField, RandomBlur, RandomNoise", draw_intensity

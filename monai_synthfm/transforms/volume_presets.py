# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Ranges from which CT-, MR- and ultrasound-like volumes are drawn.

None of these is given in the paper; all are our choice, made by looking at generated volumes beside real ones.
Intensities are those of the displayed image: for CT the soft-tissue window, 0 = -160 HU and 1 = 240 HU.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["VOLUME_PRESETS", "LayerRange", "TissueRange", "VolumePreset"]

Range = tuple[float, float]


@dataclass(frozen=True)
class LayerRange:
    """A layer of the body: its thickness as a fraction of the shorter in-plane side, and its intensity."""

    thickness: Range
    intensity: Range


@dataclass(frozen=True)
class TissueRange:
    """A kind of organ.

    Args:
        share: how frequent it is among organs, relative to the others.
        core: intensity inside.
        tube_prob: probability that it runs along the slices, as vessels and long bones do.
        wall_prob: probability of a wall.
        wall: intensity of the wall.
        wall_thickness: as a fraction of the organ's radius.
    """

    share: float
    core: Range
    tube_prob: float = 0.0
    wall_prob: float = 0.0
    wall: Range = (0.0, 1.0)
    wall_thickness: Range = (0.1, 0.35)


@dataclass(frozen=True)
class VolumePreset:
    """How volumes of one modality vary.

    Args:
        in_plane: size of a pixel in mm, drawn log-uniformly.
        through_plane: distance and thickness of slices in mm, drawn log-uniformly.
        body_prob: probability of a body in front of an empty ground.
        outside: intensity of that ground.
        layers: of the body from the skin inwards.
        cavity: intensity of what lies between the organs, or of the tissue without a body.
        cluster: intensity of SynthMorph clusters.
        tissues: kinds of organs.
        column_prob: probability of a column like the spine at the back of a body, of the last kind of ``tissues``.
        texture: standard deviation of each scale of the texture, relative to the intensity.
        bias: largest coefficient of the bias field.
        noises: kinds of noise, one of which is drawn.
        noise: strength of the noise, drawn log-uniformly.
        noise_scale: correlation length of speckle in pixels.
        blur: standard deviation of the in-plane blur in pixels, in the sharpest slice.
        blur_range: what it gains over the depth of the volume, in pixels.
        fan_prob: probability that the fan of an ultrasound probe bounds the image.
        ultrasound_prob: probability that the scanner of an anatomy shows echoes.
        shading_prob: probability that it shades the image.
        windowed: whether percentiles define black and white, as for MR, or intensities do, as for CT.
    """

    in_plane: Range
    through_plane: Range
    body_prob: float
    outside: Range
    layers: tuple[LayerRange, ...]
    cavity: Range
    cluster: Range
    tissues: tuple[TissueRange, ...]
    column_prob: float
    texture: Range
    bias: Range
    noises: tuple[str, ...]
    noise: Range
    noise_scale: Range
    blur: Range
    blur_range: Range
    fan_prob: float
    ultrasound_prob: float
    shading_prob: float
    windowed: bool


VOLUME_PRESETS: dict[str, VolumePreset] = {
    "ct": VolumePreset(
        in_plane=(0.6, 2.0),
        through_plane=(1.0, 8.0),
        body_prob=0.8,
        outside=(0.0, 0.0),
        layers=(
            LayerRange((0.004, 0.008), (0.35, 0.5)),
            LayerRange((0.015, 0.07), (0.05, 0.2)),
            LayerRange((0.015, 0.06), (0.42, 0.6)),
        ),
        cavity=(0.08, 0.45),
        cluster=(0.3, 0.75),
        tissues=(
            TissueRange(10.0, (0.42, 0.75), wall_prob=0.15, wall=(0.45, 0.9)),
            TissueRange(3.0, (0.45, 1.0), tube_prob=0.9, wall_prob=0.1, wall=(0.5, 1.2)),
            TissueRange(1.0, (0.0, 0.02), wall_prob=0.7, wall=(0.45, 0.6)),
            TissueRange(1.5, (0.55, 0.85), tube_prob=0.6, wall_prob=0.95, wall=(0.95, 1.4)),
        ),
        column_prob=0.7,
        texture=(0.0, 0.06),
        bias=(0.0, 0.0),
        noises=("gaussian",),
        noise=(0.01, 0.12),
        noise_scale=(0.5, 1.0),
        blur=(0.3, 0.8),
        blur_range=(0.0, 0.3),
        fan_prob=0.0,
        ultrasound_prob=0.0,
        shading_prob=0.0,
        windowed=False,
    ),
    "mr": VolumePreset(
        in_plane=(0.6, 2.0),
        through_plane=(1.0, 8.0),
        body_prob=0.8,
        outside=(0.0, 0.04),
        layers=(
            LayerRange((0.006, 0.05), (0.4, 1.2)),
            LayerRange((0.01, 0.04), (0.1, 0.6)),
        ),
        cavity=(0.1, 0.9),
        cluster=(0.05, 1.0),
        tissues=(
            TissueRange(10.0, (0.05, 1.0), wall_prob=0.3),
            TissueRange(3.0, (0.0, 1.2), tube_prob=0.9, wall_prob=0.2),
            TissueRange(1.5, (0.1, 0.7), tube_prob=0.5, wall_prob=0.9, wall=(0.0, 0.1)),
        ),
        column_prob=0.5,
        texture=(0.0, 0.12),
        bias=(0.05, 0.45),
        noises=("rician", "gaussian"),
        noise=(0.005, 0.08),
        noise_scale=(0.5, 1.0),
        blur=(0.3, 1.0),
        blur_range=(0.0, 0.3),
        fan_prob=0.0,
        ultrasound_prob=0.0,
        shading_prob=0.8,
        windowed=True,
    ),
    "us": VolumePreset(
        in_plane=(0.2, 0.8),
        through_plane=(0.3, 1.5),
        body_prob=0.0,
        outside=(0.0, 0.0),
        layers=(),
        cavity=(0.15, 0.5),
        cluster=(0.02, 0.9),
        tissues=(
            TissueRange(5.0, (0.02, 0.15), wall_prob=0.6, wall=(0.5, 1.0)),
            TissueRange(5.0, (0.15, 0.7), wall_prob=0.4, wall=(0.4, 1.0)),
            TissueRange(2.0, (0.01, 0.1), tube_prob=0.9, wall_prob=0.4, wall=(0.5, 1.0)),
            TissueRange(1.0, (0.7, 1.0), tube_prob=0.3),
        ),
        column_prob=0.0,
        texture=(0.02, 0.18),
        bias=(0.0, 0.5),
        noises=("speckle",),
        noise=(0.12, 0.3),
        noise_scale=(0.6, 1.6),
        blur=(0.5, 1.5),
        blur_range=(0.0, 1.0),
        fan_prob=0.7,
        ultrasound_prob=1.0,
        shading_prob=0.3,
        windowed=True,
    ),
}

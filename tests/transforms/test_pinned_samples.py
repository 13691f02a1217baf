# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Samples of fixed seeds stay what they are: parameters, intensities, labels and prompts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from monai_synthfm.data import SynthFMDataset
from monai_synthfm.data.synthfm_3d_dataset import SynthFM3DDataset
from monai_synthfm.transforms import (
    RandAcquisition,
    RandAnatomy,
    RandBezierShapes,
    RandBoundaryMask,
    RandPerlinTextured,
    RandPoissonNoised,
    RandPrompts,
    RandPromptsd,
    RandSpeckleNoised,
    RandSynthFM,
    RandSynthFM3D,
    RandSynthFM3Dd,
    RandSynthFMd,
    RandSynthFMIntensity,
    RandSynthFMIntensityd,
    RandSynthMorphLabels,
    RandVolumeStructure,
)
from monai_synthfm.transforms.clip_prompts import RandClipPrompts, RandClipPromptsd

SIZE = (48, 64)
LABELS = torch.arange(6).repeat_interleave(8)[:, None].expand(48, 64)[None].contiguous()
CLIP = torch.arange(6).repeat_interleave(8)[:, None, None].expand(48, 40, 7)[None].contiguous()
IMAGE = torch.linspace(0.0, 1.0, 48 * 64).view(1, 48, 64)


def boxes_too(make: type, **arguments: Any) -> Any:
    return make(num_objects=3, prompt_weights={"clicks": 1, "box": 1, "both": 1}, **arguments)


MADE: dict[str, tuple[Callable[[], Any], Any]] = {
    "shapes": (lambda: RandBezierShapes(SIZE), None),
    "labels": (lambda: RandSynthMorphLabels(SIZE), None),
    "labels-3d": (lambda: RandSynthMorphLabels((12, 16, 20)), None),
    "boundary": (lambda: RandBoundaryMask(SIZE), None),
    "anatomy": (lambda: RandAnatomy(SIZE, joint_prob=0.5), None),
    "volume-structure": (lambda: RandVolumeStructure((32, 28, 8)), None),
    "intensity": (RandSynthFMIntensity, LABELS),
    "acquisition": (RandAcquisition, IMAGE),
    "synthfm-shape": (lambda: RandSynthFM(SIZE, "shape", native_size=(40, 80)), None),
    "synthfm-boundary": (lambda: RandSynthFM(SIZE, "boundary", native_size=(40, 80)), None),
    "synthfm-both": (lambda: RandSynthFM(SIZE, native_size=None), None),
    "synthfm-all": (lambda: RandSynthFM(SIZE, "all", native_size=(40, 80), min_visibility=1.0), None),
    "synthfm-d": (lambda: RandSynthFMd(spatial_size=SIZE, module="all"), {}),
    "synthfm-3d": (lambda: RandSynthFM3D((32, 28, 8)), None),
    "synthfm-3d-d": (lambda: RandSynthFM3Dd(spatial_size=(32, 28, 8)), {}),
    "intensity-d": (lambda: RandSynthFMIntensityd(["a", "b"], ["x", "y"]), {"a": LABELS, "b": LABELS}),
    "prompts": (lambda: boxes_too(RandPrompts), LABELS),
    "prompts-d": (lambda: boxes_too(RandPromptsd), {"label": LABELS}),
    "clip-prompts": (lambda: RandClipPrompts(boxes_too(RandPrompts), mask_prob=0.5), CLIP),
    "clip-prompts-d": (lambda: boxes_too(RandClipPromptsd, mask_prob=0.5), {"label": CLIP}),
    "poisson-d": (lambda: RandPoissonNoised(["a", "b"], prob=0.7), {"a": IMAGE, "b": IMAGE}),
    "speckle-d": (lambda: RandSpeckleNoised(["a", "b"], prob=0.7), {"a": IMAGE, "b": IMAGE}),
    "perlin-d": (lambda: RandPerlinTextured(["a", "b"], prob=0.7), {"a": IMAGE, "b": IMAGE}),
}
PINNED: dict[str, tuple[str, float]] = {
    "shapes": ("298ce5c7d32ee7a8", 0.0000),
    "labels": ("8a0b190de53d7685", 0.0000),
    "labels-3d": ("492375f7f206426f", 0.0000),
    "boundary": ("9d4eaa25a934d580", 0.0000),
    "anatomy": ("24a63ade266bfeac", 0.0000),
    "volume-structure": ("5a11d077d1248518", 0.0000),
    "intensity": ("f2ab6445093fb54a", 6.7069),
    "acquisition": ("eff0f69d21e47220", -1.1693),
    "synthfm-shape": ("f32887e987cc4137", -4.0317),
    "synthfm-boundary": ("b70b78132245d6fb", -0.3240),
    "synthfm-both": ("3c49c2b1959a2006", 2.3765),
    "synthfm-all": ("c078aead97315118", 9.8784),
    "synthfm-d": ("b60af2980c3bce69", 2.8826),
    "synthfm-3d": ("3195e574eb8ad74b", -1.3404),
    "synthfm-3d-d": ("4c49935758c39647", -1.3404),
    "intensity-d": ("46e3df06d293379b", 11.2916),
    "prompts": ("9cd2299859ef7b90", 345.4532),
    "prompts-d": ("764451605209ed0e", 345.4532),
    "clip-prompts": ("00c38afd70d31f9d", 153.5459),
    "clip-prompts-d": ("aef3204d1c6af0bf", 153.5459),
    "poisson-d": ("7bab086abd61da31", -26.6398),
    "speckle-d": ("7bab086abd61da31", -2.8878),
    "perlin-d": ("7bab086abd61da31", -6.8775),
    "dataset": ("6864cf0aa97fae8f", 36.5159),
    "dataset-3d": ("6f421ed937235ab6", 2.5591),
}


def fingerprint(*samples: Any) -> tuple[str, float]:
    """Hash whole numbers, parameters, names and types of samples, and sum their intensities up.

    Real numbers count to nine digits, intensities to their weighted mean: another processor rounds otherwise."""
    digest, intensities = hashlib.sha256(), []

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key in sorted(value):
                add(f"{name}.{key}", value[key])
        elif isinstance(value, (list, tuple)):
            for index, part in enumerate(value):
                add(f"{name}.{index}", part)
        elif isinstance(value, (torch.Tensor, np.ndarray)):
            array = np.asarray(value)
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            add(f"{name} params", json.loads(getattr(value, "meta", {}).get("synthfm", "{}")))
            if array.dtype.kind == "f":
                flat = np.nan_to_num(array, nan=-9.0).ravel().astype(np.float64)
                intensities.append(float(flat @ np.cos(np.arange(flat.size))) + float(flat.mean()))
            else:
                digest.update(np.ascontiguousarray(array).tobytes())
        else:
            digest.update(f"{name} {value:.9g}".encode() if isinstance(value, float) else f"{name} {value}".encode())

    add("", samples)
    return digest.hexdigest()[:16], sum(intensities)


def drawn(name: str) -> tuple[str, float]:
    make, given = MADE[name]
    samples = []
    for seed in (0, 1, 2):
        transform = make().set_random_state(seed=seed)
        samples += [transform() if given is None else transform(given) for _ in range(2)]
    return fingerprint(*samples)


def assert_pinned(name: str, found: tuple[str, float]) -> None:
    text, intensity = PINNED[name]
    assert found == (text, pytest.approx(intensity, rel=1e-3, abs=1e-3))


@pytest.mark.parametrize("name", MADE)
def test_samples_of_a_seed_stay_the_same(name: str) -> None:
    assert_pinned(name, drawn(name))


@pytest.mark.parametrize("name", ["dataset", "dataset-3d"])
def test_samples_of_a_dataset_stay_the_same(name: str) -> None:
    transform = boxes_too(RandPromptsd, target_key="label") if name == "dataset" else None
    dataset: Any = (
        SynthFMDataset(4, SIZE, 5, transform) if name == "dataset" else SynthFM3DDataset(4, (32, 28, 8), seed=5)
    )
    dataset.set_epoch(3)
    assert_pinned(name, fingerprint([dataset[index] for index in (0, 3)]))

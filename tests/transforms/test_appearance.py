# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Appearances honour their ranges, and given label maps keep their place in space and in pipelines."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, Invertd, LoadImaged, Orientationd, RandRotate90d

from monai_synthfm.synthesis.anatomy import AnatomyParams
from monai_synthfm.synthesis.appearance import NOISES, AppearanceParams
from monai_synthfm.synthesis.boundaries import CanvasParams
from monai_synthfm.transforms import RandAnatomy, RandSynthFMIntensity, RandSynthFMIntensityd


def label_map(*size: int) -> torch.Tensor:
    labels = torch.zeros(1, *size, dtype=torch.long)
    labels[:, size[0] // 4 : size[0] // 2] = 1
    labels[:, size[0] // 2 :, : size[1] // 2] = 2
    return labels


def drawn(draw: str, *arguments: Any, number: int = 200, **settings: Any) -> list[AppearanceParams]:
    generator = RandSynthFMIntensity(**settings).set_random_state(seed=0)
    params = []
    for _ in range(number):
        getattr(generator, draw)((64, 100), *arguments)
        params.append(generator.params)
    return params


def test_every_label_keeps_its_contrast_to_the_background() -> None:
    for params in drawn("randomize", 5, background=(0.2, 0.7), contrast=(0.1, 0.3)):
        base, *values = params.base  # type: ignore[misc]
        assert 0.2 <= base <= 0.7
        assert len(values) == 5
        assert all(0.1 - 1e-9 <= abs(value - base) <= 0.3 + 1e-9 and 0.0 <= value <= 1.0 for value in values)


@pytest.mark.parametrize("phantom", [False, True])
def test_shapes_contrast_with_the_phantom_or_the_black_canvas(phantom: bool) -> None:
    for params in drawn("randomize_shapes", 4, phantom, background=(0.3, 0.5), contrast=(0.1, 0.2), texture_prob=1.0):
        assert len(params.base) == 5 + phantom  # type: ignore[arg-type]
        base = params.base[-1] if phantom else 0.0  # type: ignore[index]
        assert params.base[0] == 0.0  # type: ignore[index]
        assert all(0.1 - 1e-9 <= abs(value - base) <= 0.2 + 1e-9 for value in params.base[1:5])  # type: ignore[index]
        assert {texture.amplitudes[0] for texture in params.textures} == {0.0}  # the black canvas stays black
        assert {len(texture.amplitudes) for texture in params.textures} == {5 + phantom}


def test_canvas_lies_in_the_interval_and_the_gap_stays_visible() -> None:
    settings = {"canvas_width": (0.1, 0.3), "canvas_scatter": (0.02, 0.05), "canvas_shift": (0.1, 0.4)}
    for params in drawn("randomize_canvas", **settings):
        canvas = params.base
        assert isinstance(canvas, CanvasParams)
        assert 0.0 <= canvas.low <= canvas.high <= 1.0
        assert 0.1 - 1e-9 <= canvas.high - canvas.low <= 0.3 + 1e-9
        assert 0.02 <= canvas.scatter <= 0.05
        assert 0.1 <= abs(canvas.shift) <= 0.4
        assert 0.0 <= (canvas.low + canvas.high) / 2.0 + canvas.shift <= 1.0


def test_both_signs_of_the_shift_occur() -> None:
    signs = [np.sign(params.base.shift) for params in drawn("randomize_canvas")]  # type: ignore[union-attr]
    assert abs(np.mean(signs)) < 0.3


def test_textures_and_noises_honour_their_ranges() -> None:
    settings = {
        "texture_prob": 1.0,
        "texture_strength": (0.02, 0.05),
        "texture_scale": (0.1, 0.2),
        "grain_scale": (1.0, 2.0),
        "blur": (0.5, 1.5),
        "num_noises": (1, 3),
        "noise_strength": (0.01, 0.04),
    }
    seen: set[str] = set()
    numbers: set[int] = set()
    for params in drawn("randomize", 2, **settings):
        assert [texture.kind for texture in params.textures] == ["perlin", "grain"]
        assert 10.0 <= params.textures[0].scale <= 20.0  # a share of the longer side
        assert 1.0 <= params.textures[1].scale <= 2.0
        assert all(0.02 <= value <= 0.05 for texture in params.textures for value in texture.amplitudes)
        assert 0.5 <= params.blur <= 1.5
        kinds = [noise.kind for noise in params.noises]
        assert len(set(kinds)) == len(kinds)
        assert all(0.01 <= noise.strength <= 0.04 for noise in params.noises)
        limits = {noise.kind: (10.0, 20.0) if noise.kind == "perlin" else (1.0, 2.0) for noise in params.noises}
        assert all(limits[noise.kind][0] <= noise.scale <= limits[noise.kind][1] for noise in params.noises)
        seen.update(kinds)
        numbers.add(len(kinds))
    assert seen == set(NOISES)
    assert numbers == {1, 2, 3}


def test_only_the_chosen_noises_occur() -> None:
    params = drawn("randomize", 2, noises=("rician", "gaussian"), num_noises=(2, 2))
    assert {tuple(sorted(noise.kind for noise in p.noises)) for p in params} == {("gaussian", "rician")}
    assert {p.noises for p in drawn("randomize", 2, noises=(), num_noises=(0, 0))} == {()}


def test_an_image_without_textures_shows_one_value_for_each_label() -> None:
    labels = label_map(32, 40)
    plain = RandSynthFMIntensity(texture_prob=0.0, blur=(0.0, 0.0), num_noises=(0, 0), background=(0.5, 0.5))
    image = plain.set_random_state(seed=0)(labels)
    values = [image[labels == label].unique().tolist() for label in (0, 1, 2)]
    assert [len(value) for value in values] == [1, 1, 1]
    assert len({value[0] for value in values}) == 3


@pytest.mark.parametrize("size", [(32, 40), (16, 20, 12)])
@pytest.mark.parametrize("kind", [torch.int64, torch.float32, torch.uint8, "numpy"])
def test_label_maps_of_any_type_and_dimension_are_taken(size: tuple[int, ...], kind: Any) -> None:
    expected = RandSynthFMIntensity().set_random_state(seed=0)(label_map(*size))
    labels = label_map(*size).numpy() if kind == "numpy" else label_map(*size).to(kind)
    image = RandSynthFMIntensity().set_random_state(seed=0)(labels)
    assert torch.equal(image.as_tensor(), expected.as_tensor())
    assert image.dtype == torch.float32
    assert image.shape == (1, *size)
    assert image.min() >= 0.0
    assert image.max() <= 1.0


def test_the_image_lies_where_its_labels_lie() -> None:
    affine = torch.tensor([[0.0, 2, 0, 5], [-3, 0, 0, 6], [0, 0, 4, 7], [0, 0, 0, 1]], dtype=torch.float64)
    labels = MetaTensor(label_map(8, 10, 6), affine=affine, meta={"filename_or_obj": "case.nii.gz"})
    image = RandSynthFMIntensity().set_random_state(seed=0)(labels)
    assert torch.equal(image.affine, affine)
    assert image.meta["filename_or_obj"] == "case.nii.gz"
    assert "synthfm" not in labels.meta


def test_composes_with_monai_from_a_file_and_back(tmp_path: Path) -> None:
    affine = np.diag([-2.0, 3.0, 4.0, 1.0])
    path = tmp_path / "label.nii.gz"
    nib.save(nib.Nifti1Image(label_map(12, 14, 10)[0].numpy().astype(np.uint8), affine), path)
    pipeline = Compose(
        [
            LoadImaged("label"),
            EnsureChannelFirstd("label"),
            Orientationd("label", axcodes="RAS", labels=None),
            RandSynthFMIntensityd("label", "image"),
            RandRotate90d(["image", "label"], prob=1.0, max_k=1),
        ]
    ).set_random_state(seed=1)
    sample = pipeline({"label": str(path)})
    assert torch.equal(sample["image"].affine, sample["label"].affine)
    assert sample["image"].shape == sample["label"].shape == (1, 14, 12, 10)
    back = Invertd("image", pipeline, orig_keys="label", nearest_interp=False)(sample)["image"]
    assert back.shape == (1, 12, 14, 10)
    np.testing.assert_allclose(back.affine, affine, atol=1e-9)
    again = pipeline.set_random_state(seed=1)({"label": str(path)})
    assert torch.equal(again["image"].as_tensor(), sample["image"].as_tensor())
    assert not torch.equal(pipeline({"label": str(path)})["image"].as_tensor(), sample["image"].as_tensor())


def test_dictionary_twin_makes_one_image_for_each_label_map() -> None:
    twin = RandSynthFMIntensityd(["a", "b"], ["x", "y"], allow_missing_keys=True).set_random_state(seed=0)
    labels = label_map(32, 32)
    result = twin({"a": labels, "b": labels, "other": 1})
    assert set(result) == {"a", "b", "other", "x", "y"}
    assert result["a"] is labels
    assert not torch.equal(result["x"].as_tensor(), result["y"].as_tensor())
    array = RandSynthFMIntensity().set_random_state(state=np.random.RandomState(0))
    assert torch.equal(array(labels).as_tensor(), result["x"].as_tensor())
    assert set(twin({"b": labels})) == {"b", "y"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noises": ("salt", "gaussian")}, r"noises must be some of gaussian, .*got \['salt'\]"),
        ({"num_noises": (0, 9)}, r"num_noises must be .* within \[0, 5\]"),
        ({"contrast": (0.1, 0.7)}, "contrast must be"),
        ({"background": (-0.1, 0.7)}, "background must be"),
        ({"texture_prob": 1.5}, "texture_prob must be a probability"),
        ({"canvas_shift": (0.0, 0.9)}, "canvas_shift must be"),
        ({"noise_strength": (0.0, 0.1)}, "noise_strength must be"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandSynthFMIntensity(**settings)
    with pytest.raises(ValueError, match=message):
        RandSynthFMIntensityd("label", **settings)


@pytest.mark.parametrize("labels", [torch.zeros(8, 8), torch.zeros(2, 8, 8), torch.zeros(1, 1, 1, 8, 8)])
def test_label_maps_of_another_shape_are_refused(labels: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"labels must be \[1, \*spatial\] in 2D or 3D, got shape"):
        RandSynthFMIntensity()(labels)


def test_negative_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"labels must hold whole numbers, 0 for background .* got -1"):
        RandSynthFMIntensity()(-torch.ones(1, 8, 8))


@pytest.mark.parametrize("values", [(0.0, 0.5, 1.0), (0.0, 1 / 255, 2 / 255)])
def test_labels_that_are_no_whole_numbers_are_refused_with_their_values(values: tuple[float, ...]) -> None:
    labels = torch.tensor(values)[label_map(16, 16)]
    for call in (RandSynthFMIntensity(), lambda given: RandSynthFMIntensity().replay(given, plain())):
        with pytest.raises(ValueError, match=f"labels must hold whole numbers.*got 0, {values[1]:g}, {values[2]:g};"):
            call(labels)


def plain(*values: float) -> AppearanceParams:
    return AppearanceParams(values or (0.1, 0.5, 0.9), (), 0.0, ())


@pytest.mark.parametrize("numbers", [(0, 2, 5), (0, 10**8, 2 * 10**9), (0, 7, 2**40)])
def test_labels_get_their_intensities_in_their_order_however_large_they_are(numbers: tuple[int, ...]) -> None:
    labels = torch.tensor(numbers)[label_map(16, 16)]
    for seed in range(3):
        expected = RandSynthFMIntensity().set_random_state(seed=seed)(label_map(16, 16))
        generator = RandSynthFMIntensity().set_random_state(seed=seed)
        image = generator(labels)
        assert torch.equal(image.as_tensor(), expected.as_tensor())
        assert torch.equal(generator.replay(labels, image.meta["synthfm"]).as_tensor(), expected.as_tensor())
        assert len(generator.params.base) == 3


def test_values_for_labels_that_are_missing_in_the_map_are_taken_by_their_number() -> None:
    labels = torch.tensor((0, 2, 3))[label_map(16, 16)]
    image = RandSynthFMIntensity().replay(labels, plain(0.0, 0.9, 0.25, 0.5))
    assert torch.equal(image.as_tensor(), torch.tensor((0.0, 0.0, 0.5, 1.0))[labels])


def test_a_new_noise_changes_no_sample_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NOISES, "salt", lambda image, *_, **__: image)
    spec = importlib.util.spec_from_file_location("loaded_afterwards", inspect.getfile(RandSynthFMIntensity))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    make = module.RandSynthFMIntensity
    assert make().noises == ("gaussian", "poisson", "perlin", "speckle", "rician")
    assert make(noises=("salt",), num_noises=(1, 1)).noises == ("salt",)


def test_as_many_image_keys_as_keys_are_needed() -> None:
    with pytest.raises(ValueError, match="image_keys must name one image for each of"):
        RandSynthFMIntensityd(["a", "b"], "image")


def appearances(
    faint_prob: float, body_prob: float, number: int = 60, **settings: Any
) -> list[tuple[AnatomyParams, AppearanceParams]]:
    anatomy = RandAnatomy((64, 64), body_prob=body_prob, whole_prob=0.0, like_prob=0.0, tissue_prob=0.0)
    anatomy.set_random_state(seed=0)
    intensity = RandSynthFMIntensity(faint_prob=faint_prob, **settings).set_random_state(seed=0)
    drawn = []
    for _ in range(number):
        anatomy.randomize()
        intensity.randomize_anatomy((64, 64), anatomy.params)
        drawn.append((anatomy.params, intensity.params))
    return drawn


def organ_contrasts(drawn: list[tuple[AnatomyParams, AppearanceParams]]) -> list[float]:
    return [
        abs(appearance.base[number] - appearance.base[part.parent])
        for anatomy, appearance in drawn
        for number, part in enumerate(anatomy.parts, start=1)
        if part.label
    ]


def test_faint_anatomies_have_fainter_organs_and_a_few_strong_ones() -> None:
    plain, faint = (np.array(organ_contrasts(appearances(share, body_prob=0.5))) for share in (0.0, 1.0))
    assert plain.min() >= 0.05
    assert 0.015 <= faint.min() < 0.03
    assert np.median(faint) < 0.5 * np.median(plain)
    assert 0.02 < (faint > 0.3).mean() < 0.25


def test_bodies_of_faint_anatomies_stand_out_from_black_ground() -> None:
    for anatomy, appearance in appearances(1.0, body_prob=1.0):
        bodies = [n for n, part in enumerate(anatomy.parts, start=1) if part.parent == 0 and part.label == 0]
        if appearance.base[0] == 0.0:
            assert all(0.15 <= appearance.base[number] <= 0.7 for number in bodies)


def test_organs_of_faint_anatomies_do_not_lie_on_black_ground() -> None:
    assert all(appearance.base[0] >= 0.15 for _, appearance in appearances(1.0, body_prob=0.0))


def test_fainter_anatomies_are_quieter() -> None:
    plain, faint = (
        [noise.strength for _, appearance in appearances(share, 0.5, 200) for noise in appearance.noises]
        for share in (0.0, 1.0)
    )
    assert min(plain) >= 0.005
    assert 0.005 * 0.06 / 0.25 <= min(faint) < 0.003
    assert np.median(faint) < np.median(plain)


def test_contrasts_that_are_small_already_get_no_larger() -> None:
    contrasts = organ_contrasts(appearances(1.0, body_prob=0.5, contrast=(0.002, 0.01)))
    assert max(contrasts) <= 0.01 + 1e-9


def test_sub_classes_have_greys_of_their_own_and_twins_the_same() -> None:
    anatomy = RandAnatomy((64, 64), body_prob=0.0, tissue_prob=0.0, mixed_prob=1.0, pair_prob=1.0, num_organs=(1, 1))
    anatomy.set_random_state(seed=1)
    intensity = RandSynthFMIntensity().set_random_state(seed=0)
    alike, contrasts = [], []
    for _ in range(40):
        anatomy.randomize()
        intensity.randomize_anatomy((64, 64), anatomy.params)
        values, parts = intensity.params.base, anatomy.params.parts
        mixtures = anatomy.params.mixtures
        counts = [mixture.label_map.num_labels - 1 for mixture in mixtures]
        assert len(values) == 1 + 2 * len(parts) + sum(counts)
        if len(mixtures) == 2 and counts[0]:
            first, second = values[-2 * counts[0] : -counts[0]], values[-counts[0] :]
            contrasts += [abs(value - values[mixtures[0].part]) for value in first]
            like = parts[mixtures[1].part - 1].like == mixtures[0].part
            assert (first == second) == like
            alike.append(like)
    assert 0.6 < np.mean(alike) < 1.0
    assert 0.4 * 0.05 <= min(contrasts) < 0.05
    assert 0.2 < max(contrasts) <= 0.5


def test_what_lies_in_faint_organs_of_several_greys_is_often_strong() -> None:
    def strong(mixed_prob: float) -> float:
        anatomy = RandAnatomy((64, 64), body_prob=0.0, parts_prob=1.0, mixed_prob=mixed_prob, radius=(0.1, 0.3))
        anatomy.set_random_state(seed=0)
        intensity = RandSynthFMIntensity(faint_prob=1.0, contrast=(0.06, 0.5)).set_random_state(seed=0)
        steps = []
        for _ in range(30):
            anatomy.randomize()
            intensity.randomize_anatomy((64, 64), anatomy.params)
            values, parts = intensity.params.base, anatomy.params.parts
            inner = [(n, part) for n, part in enumerate(parts, start=1) if part.parent and not part.like]
            steps += [abs(values[n] - values[part.parent]) for n, part in inner]
        return float(np.mean(np.array(steps) > 0.25))

    assert strong(1.0) > 1.2 * strong(0.0)

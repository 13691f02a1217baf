# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""MedSAM intensities against a separate plain-numpy version, on made and on real images."""

from __future__ import annotations

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor, set_track_meta
from scipy import ndimage

from monai_synthfm.transforms.medsam import (
    MODALITIES,
    MedSAMIntensity,
    MedSAMIntensityD,
    MedSAMIntensityd,
    MedSAMIntensityDict,
    looks_like_ct,
)


def reference(volume: np.ndarray, is_ct: bool, level: float = 40, width: float = 400) -> np.ndarray:
    """The published steps in their order, ending in the cast to uint8."""
    data = volume.astype(np.float64)
    if is_ct:
        bounded = np.minimum(np.maximum(data, level - width / 2), level + width / 2)
    else:
        above = np.sort(data[data > 0])
        low, high = (np.interp(q / 100 * (above.size - 1), np.arange(above.size), above) for q in (0.5, 99.5))
        bounded = np.minimum(np.maximum(data, low), high)
    grey = (bounded - bounded.min()) / (bounded.max() - bounded.min()) * 255.0
    if not is_ct:
        grey[data == 0] = 0
    return np.uint8(grey)


def made(seed: int, is_ct: bool) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if is_ct:
        return rng.integers(-1024, 1500, size=(1, 6, 7, 8)).astype(np.int16)
    values = rng.gamma(2.0, 60.0, size=(1, 6, 7, 8)).round()
    values[rng.random(values.shape) < 0.2] = 0
    return values.astype(np.float32)


def differs_by_rounding_only(ours: np.ndarray, expected: np.ndarray) -> bool:
    """Percentiles found in two ways differ in the last bit, which truncation can turn into one grey level."""
    gap = abs(ours - expected.astype(float))
    return gap.max() <= 1 and np.count_nonzero(gap) <= max(3, 1e-3 * gap.size)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), level=st.integers(-600, 100), width=st.integers(50, 1500))
def test_ct_window_equals_the_published_steps_exactly(seed: int, level: int, width: int) -> None:
    volume = made(seed, is_ct=True)
    ours = MedSAMIntensity("ct", level=level, width=width, scale=(0, 255))(volume)
    np.testing.assert_array_equal(ours, reference(volume, True, level, width))


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), modality=st.sampled_from([m for m in MODALITIES if m not in ("ct", "auto")]))
def test_other_modalities_equal_the_published_steps(seed: int, modality: str) -> None:
    volume = made(seed, is_ct=False)
    ours = MedSAMIntensity(modality, scale=(0, 255))(volume)
    assert differs_by_rounding_only(ours, reference(volume, False))
    assert (ours[volume == 0] == 0).all()


@pytest.mark.parametrize(("case", "is_ct"), [("ts_ct/ts_ct_sm.nii.gz", True), ("ts_mr/ts_mr_sm.nii.gz", False)])
def test_real_volumes_equal_the_published_steps_and_auto_knows_them(shared_dir: Path, case: str, is_ct: bool) -> None:
    volume = np.asarray(nib.load(shared_dir / case).dataobj)[None]
    out = MedSAMIntensity("auto", scale=(0, 255))(MetaTensor(torch.from_numpy(volume.astype(np.float32))))
    assert out.meta["medsam_intensity"]["policy"] == ("window" if is_ct else "percentiles")
    assert differs_by_rounding_only(out.numpy(), reference(volume.astype(np.float32), is_ct))


def test_an_integer_image_with_known_percentiles_maps_as_computed_by_hand() -> None:
    image = np.concatenate([[-50, 0], np.arange(1, 202)]).reshape(1, 7, 29)
    ours = MedSAMIntensity("mr", scale=(0, 255))(image).ravel()
    assert ours[:3].tolist() == [0, 0, 0]
    assert ours[-3:].tolist() == [253, 255, 255]
    assert ours[102] == int((101 - 2) / 198 * 255) == 127


def test_a_ct_that_does_not_fill_the_window_is_stretched_between_its_own_extremes() -> None:
    image = np.array([[0.0, 50.0, 100.0]])
    np.testing.assert_array_equal(MedSAMIntensity("ct", scale=(0, 255))(image), [[0, 127, 255]])


def test_the_default_scale_is_grey_levels_over_255() -> None:
    volume = made(0, is_ct=True)
    unit, grey = MedSAMIntensity("ct")(volume), MedSAMIntensity("ct", scale=(0, 255))(volume)
    assert unit.dtype == np.float32
    assert (unit.min(), unit.max()) == (0, 1)
    np.testing.assert_allclose(unit, grey / 255, atol=1e-7)


def test_without_quantization_values_are_within_a_grey_level_above_the_quantized() -> None:
    volume = made(0, is_ct=False)
    smooth = MedSAMIntensity("mr", scale=(0, 255), quantize=False)(volume)
    whole = MedSAMIntensity("mr", scale=(0, 255))(volume)
    assert ((smooth - whole >= 0) & (smooth - whole < 1)).all()
    assert len(np.unique(smooth)) > len(np.unique(whole)) / 2
    assert (smooth != whole).any()


@pytest.mark.parametrize(
    ("minimum", "policy"), [(-1024, "window"), (-100, "window"), (-99, "percentiles"), (0, "percentiles")]
)
def test_auto_takes_air_and_fat_as_the_sign_of_ct_and_says_so(
    minimum: int, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    image = MetaTensor(torch.tensor([[minimum, 10.0, 40.0, 80.0]]))
    with caplog.at_level(logging.INFO, logger="monai_synthfm"):
        record = MedSAMIntensity()(image).meta["medsam_intensity"]
    assert record["policy"] == policy
    assert record["reason"].startswith(f"auto: {25 if policy == 'window' else 0}% of the voxels are at most -100")
    assert policy in caplog.text
    assert record["reason"] in caplog.text


def resampled(shared_dir: Path, case: str) -> np.ndarray:
    """A real volume on another grid by cubic interpolation, which overshoots at edges."""
    volume = np.asarray(nib.load(shared_dir / case).dataobj).astype(np.float32)
    return ndimage.zoom(volume, (1.3, 1.3, 1.0), order=3)[None]


def test_one_voxel_of_a_resampled_mr_far_below_zero_does_not_make_it_a_ct(shared_dir: Path) -> None:
    volume = resampled(shared_dir, "ts_mr/ts_mr_sm.nii.gz")
    volume[0, 0, 0, 0] = -250
    assert differs_by_rounding_only(MedSAMIntensity("auto", scale=(0, 255))(volume), reference(volume, False))


@pytest.mark.parametrize("lower", [-3024, -1024, -200, -175, -160, -100])
def test_a_ct_is_known_however_it_was_clipped_padded_or_cut(shared_dir: Path, lower: int) -> None:
    volume = resampled(shared_dir, "ts_ct/ts_ct_sm.nii.gz").clip(lower, 1000)
    padded = np.pad(volume, ((0, 0), (60, 60), (60, 60), (10, 10)))
    _, x, y, z = (size // 2 for size in volume.shape)
    for image in (volume, padded, volume[:, x - 40 : x + 40, y - 30 : y + 30, z - 5 : z + 5]):
        assert looks_like_ct(image)[0]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ringing of bright edges", np.r_[np.full(200, -900.0), np.linspace(0, 20_000, 9800)]),
        ("phase", np.linspace(-4096, 4095, 10_000)),
        ("normalised", np.random.default_rng(0).normal(0, 1, 10_000)),
        ("radiograph in signed 16 bits", np.linspace(-32768, 32767, 10_000)),
        ("an offset by mistake", np.r_[np.linspace(-42675, 32767, 10_000)]),
        ("zeros", np.zeros(9)),
    ],
)
def test_values_below_zero_alone_make_no_ct(name: str, values: np.ndarray) -> None:
    assert not looks_like_ct(values)[0], name


@settings(max_examples=60)
@given(share=st.floats(0, 1), top=st.floats(200, 8000), zeros=st.integers(0, 500))
def test_ct_is_a_matter_of_the_share_of_low_voxels_and_of_the_upper_end(share: float, top: float, zeros: int) -> None:
    low = round(1000 * share)
    values = np.r_[np.full(low, -500.0), np.full(1000 - low, top), np.zeros(zeros)]
    upper = top if low < 995 else -500.0 if low > 995 else None
    if upper is not None:
        assert looks_like_ct(values)[0] == (low >= 50 and upper <= 3100)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ([0, 1, 1, 0], [0, 255, 255, 0]),
        ([0, 5, 5], [0, 255, 255]),
        ([0] * 50 + [7], [0] * 50 + [255]),
        ([0, 255, 255, -3], [0, 255, 255, 0]),
        ([1] * 500 + [90], [0] * 500 + [255]),
        ([0, 2] + [4] * 997 + [90], [0, 127] + [255] * 998),
    ],
    ids=["binary", "one value on nothing", "one bright voxel", "below zero", "one bright voxel on one value", "nearly"],
)
def test_a_picture_of_two_values_shows_both_and_zero_stays_zero(image: list[int], expected: list[int]) -> None:
    assert MedSAMIntensity("auto", scale=(0, 255))(np.array([image], dtype=float)).tolist() == [expected]


def test_a_given_modality_is_followed_whatever_the_values() -> None:
    image = MetaTensor(torch.tensor([[-1000.0, 10.0, 40.0, 80.0]]))
    record = MedSAMIntensity("mr")(image).meta["medsam_intensity"]
    assert (record["modality"], record["policy"]) == ("mr", "percentiles")
    record = MedSAMIntensity("ct")(image).meta["medsam_intensity"]
    assert record == {
        "modality": "ct",
        "policy": "window",
        "reason": "modality given as ct",
        "low": -160.0,
        "high": 80.0,
    }


def test_the_input_and_its_meta_are_left_alone() -> None:
    image = MetaTensor(torch.tensor([[-1000.0, 10.0, 80.0]]), meta={"name": "case"})
    before = image.clone()
    out = MedSAMIntensity("ct")(image)
    assert torch.equal(image, before)
    assert "medsam_intensity" not in image.meta
    assert out.meta["name"] == "case"
    assert torch.equal(out.affine, image.affine)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float64])
def test_an_array_stays_an_array_of_float32(dtype: type) -> None:
    out = MedSAMIntensity("mr")(np.arange(1, 9, dtype=dtype)[None])
    assert isinstance(out, np.ndarray)
    assert out.dtype == np.float32


@pytest.mark.parametrize(
    ("image", "modality", "message"),
    [
        (np.full((1, 2, 2), np.nan), "auto", "4 NaN or infinite voxels out of 4"),
        (np.array([[1.0, np.inf, 2.0]]), "ct", "1 NaN or infinite voxels out of 3"),
        (np.zeros((1, 0, 4)), "auto", r"shape \(1, 0, 4\) is empty"),
        (np.full((1, 3, 3), 7.0), "mr", r"constant \(7\)"),
        (np.full((1, 3, 3), -1000.0), "auto", r"constant \(-160\) after clipping by the window policy"),
        (np.zeros((1, 3, 3)), "mr", "no voxel above 0"),
        (np.array([[-90.0, -3.0]]), "auto", "no voxel above 0 .maximum -3"),
    ],
)
def test_images_that_show_nothing_are_refused(image: np.ndarray, modality: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MedSAMIntensity(modality)(image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modality": "pet"}, "modality must be one of"),
        ({"width": 0}, "width must be"),
        ({"percentiles": (99, 1)}, "percentiles must be"),
        ({"percentiles": (0, 101)}, "percentiles must be"),
        (
            {"window": "liver"},
            r"window must be one of soft_tissue, lung, bone, brain, or \(level, width\) in HU, got 'l",
        ),
        ({"window": (40,)}, r"window must be one of .*, got \(40,\)"),
        ({"window": (40, -1)}, "width must be"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MedSAMIntensity(**arguments)


@pytest.mark.parametrize(
    ("window", "level", "width"),
    [("soft_tissue", 40, 400), ("lung", -600, 1500), ("bone", 400, 1800), ("brain", 40, 80), ((-50, 350), -50, 350)],
)
def test_a_window_is_its_level_and_width(window: str | tuple[float, float], level: float, width: float) -> None:
    assert vars(MedSAMIntensity("ct", window=window)) == vars(MedSAMIntensity("ct", level, width))


def test_the_dictionary_twin_maps_each_key_by_itself() -> None:
    assert MedSAMIntensityD is MedSAMIntensityDict is MedSAMIntensityd
    item = {"ct": made(0, True), "mr": made(1, False), "label": np.ones(3)}
    out = MedSAMIntensityd(keys=["ct", "mr", "absent"], allow_missing_keys=True)(item)
    np.testing.assert_array_equal(out["ct"], MedSAMIntensity("ct")(item["ct"]))
    np.testing.assert_array_equal(out["mr"], MedSAMIntensity("mr")(item["mr"]))
    assert out["label"] is item["label"]
    with pytest.raises(KeyError, match="image"):
        MedSAMIntensityd(keys="image")({})


@pytest.mark.parametrize("tracked", [True, False])
def test_metadata_is_kept_only_where_monai_tracks_it(tracked: bool) -> None:
    image = MetaTensor(torch.tensor([[1.0, 10.0, 80.0]]), meta={"name": "case"})
    expected = MedSAMIntensity("mr")(image.as_tensor())
    set_track_meta(tracked)
    try:
        found = MedSAMIntensityd("image", modality="mr")({"image": image})["image"]
    finally:
        set_track_meta(True)
    assert type(found) is (MetaTensor if tracked else torch.Tensor)
    assert torch.equal(torch.as_tensor(found), expected)


def test_the_modality_of_an_item_goes_before_that_of_all() -> None:
    transform = MedSAMIntensityd(keys="image", modality="mr", modality_key="modality")
    volume = np.linspace(-1000, 1000, 64).reshape(1, 4, 4, 4)
    np.testing.assert_array_equal(
        transform({"image": volume, "modality": "ct"})["image"], MedSAMIntensity("ct")(volume)
    )
    np.testing.assert_array_equal(transform({"image": volume})["image"], MedSAMIntensity("mr")(volume))
    with pytest.raises(ValueError, match=r"modality must be one of .* got 'x-ray'"):
        transform({"image": volume, "modality": "x-ray"})

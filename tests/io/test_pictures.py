# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of reading pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from monai_synthfm.io.faults import FaultError
from monai_synthfm.io.pictures import grey_picture, picture_tensor, read_itk_picture, read_png, relabelled

GREY = np.random.default_rng(0).integers(0, 256, (7, 11), dtype=np.uint8)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(GREY > 99), (GREY > 99).astype(np.uint8)),
        (Image.fromarray(GREY), GREY),
        (Image.fromarray(GREY.astype(np.uint16) * 250), GREY.astype(np.uint16) * 250),
        (Image.fromarray(np.dstack([GREY, 255 - GREY])), GREY),
        (Image.fromarray(np.dstack([GREY, GREY, GREY // 2])), np.dstack([GREY, GREY, GREY // 2])),
        (Image.fromarray(np.dstack([GREY] * 4)), np.dstack([GREY] * 3)),
    ],
    ids=["1", "L", "I;16", "LA", "RGB", "RGBA"],
)
def test_values_of_every_mode_stay_as_they_are(tmp_path: Path, image: Image.Image, expected: np.ndarray) -> None:
    image.save(tmp_path / "a.png")
    found = read_png(tmp_path / "a.png")
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


def test_palette_files_give_their_indexes(tmp_path: Path) -> None:
    image = Image.fromarray(GREY % 4).convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_png(tmp_path / "a.png"), GREY % 4)


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_files_cut_short_are_refused(tmp_path: Path, part: float) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: int(part * len(content)) - 12])
    with pytest.raises(FaultError, match=r"unreadable: .*a.png"):
        read_png(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("values", "vector", "shape"),
    [
        (GREY, False, (7, 11)),
        (GREY[None], False, (7, 11)),
        (np.stack([GREY] * 3), False, (7, 11, 3)),
        (np.dstack([GREY] * 3), True, (7, 11, 3)),
    ],
    ids=["2D", "one slice", "three slices", "vectors"],
)
def test_pictures_of_itk_have_colours_last(tmp_path: Path, values: np.ndarray, vector: bool, shape: tuple) -> None:
    image = SimpleITK.GetImageFromArray(values, isVector=vector)
    image.SetSpacing((0.3, 0.2, 1.0)[: image.GetDimension()])
    SimpleITK.WriteImage(image, str(tmp_path / "a.mha"))
    found, spacing = read_itk_picture(tmp_path / "a.mha")
    assert found.shape == shape
    np.testing.assert_array_equal(grey_picture(found, "a.mha"), GREY)
    assert spacing == [0.2, 0.3]


def test_colours_are_no_grey_and_volumes_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match="channels that differ"):
        grey_picture(np.dstack([GREY, GREY, GREY // 2]), "a.png")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.stack([GREY] * 5)), str(tmp_path / "a.mha"))
    with pytest.raises(FaultError, match="expected a 2D image"):
        read_itk_picture(tmp_path / "a.mha")


def test_tensors_have_channels_first_and_labels_stay_whole() -> None:
    colour = np.dstack([GREY, GREY // 2, GREY // 3])
    found = picture_tensor(colour, "a.png")
    np.testing.assert_array_equal(found.numpy(), np.moveaxis(colour, -1, 0))
    assert picture_tensor(GREY.astype(np.int16), "a.png").numpy().dtype == np.int16


@given(st.lists(st.sampled_from([0, 7, 8, 255]), min_size=1, max_size=20))
def test_stored_values_become_those_of_the_dataset_and_others_are_refused(stored: list[int]) -> None:
    values = np.array([stored], np.uint8)
    if 255 in stored:
        with pytest.raises(FaultError, match=r"unexpected_label: a\.png: values \[255\], expected \[0, 7, 8\]"):
            relabelled(values, {7: 1, 8: 2}, "a.png")
        return
    label = relabelled(values, {7: 1, 8: 2}, "a.png")
    assert label.dtype == np.int16
    assert label.tolist() == [[max(0, value - 6) for value in stored]]

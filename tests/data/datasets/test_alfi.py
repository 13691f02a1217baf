# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of the ALFI reader on a replica."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from skimage.measure import label as skimage_label

from monai_synthfm.data.datasets.alfi import AlfiDataset, label_objects
from monai_synthfm.data.datasets.checks import check_data
from tests.replicas.alfi import FRAMES, SEQUENCES, frame, write_alfi


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_alfi(tmp_path)


@given(label=hnp.arrays(np.int16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(0, 2)))
def test_objects_are_the_components_of_each_class_in_its_turn(label: np.ndarray) -> None:
    found, offset = label_objects(label), 0
    for value in (1, 2):
        components = skimage_label(label == value, connectivity=2)
        np.testing.assert_array_equal(found[label == value], components[label == value] + offset)
        offset += components.max()
    assert not found[label == 0].any()


def test_frames_of_mitosis_sequences_are_listed_by_sequence(root: Path) -> None:
    dataset = AlfiDataset(root.parent)
    assert dataset.root == root
    assert [case["case_id"] for case in dataset.data] == [f"{s}_{n:04d}" for s in SEQUENCES for n in FRAMES]
    assert [case["patient_id"] for case in dataset.data] == [s for s in SEQUENCES for _ in FRAMES]


def test_images_keep_16_bits_and_classes_are_named(root: Path) -> None:
    sample = AlfiDataset(root, target="class")[1]
    image, mask = frame(FRAMES[1])
    np.testing.assert_array_equal(sample["image"][0].numpy(), image)
    np.testing.assert_array_equal(sample["label"][0].numpy(), np.select([mask == 128, mask == 255], [1, 2]))
    assert "instances" not in sample


def test_instances_are_components_without_small_bits_at_the_border(root: Path) -> None:
    sample = AlfiDataset(root)[0]
    _, mask = frame(FRAMES[0])
    mask = mask.copy()
    mask[40:50, :5] = 0
    np.testing.assert_array_equal(sample["label"][0].numpy(), np.select([mask == 128, mask == 255], [1, 2]))
    instances = sample["instances"][0].numpy()
    expected = sum(skimage_label(mask == value, connectivity=2).max() for value in (128, 255))
    assert instances.max() == expected == 3
    for index in range(1, 4):
        assert len(np.unique(mask[instances == index])) == 1
    assert (AlfiDataset(root, min_border_area=50)[0]["instances"] > 0).sum() == (mask > 0).sum() + 50


def test_replica_is_sane_and_partial(root: Path) -> None:
    report = check_data("alfi", root, progress=False)
    assert report["sane"], report["faults"]
    assert (report["status"], report["found"]) == ("partial", {"test": 6})
    assert report["structures"] == {"interphase": 6, "mitosis": 6}


def eight_bits(root: Path) -> None:
    path = root / "MI01/Images/I_MI01_0001.png"
    Image.fromarray((np.asarray(Image.open(path)) >> 8).astype(np.uint8)).save(path)


def recoloured(root: Path) -> None:
    path = root / "MI01/Masks/M_MI01_0001.png"
    Image.fromarray(np.asarray(Image.open(path)) // 2).save(path)


def test_frame_without_a_mask_is_noticed(root: Path) -> None:
    (root / "MI01/Masks/M_MI01_0002.png").unlink()
    report = check_data("alfi", root, progress=False)
    assert report["sane"]
    assert [(notice["code"], notice["case_id"]) for notice in report["notices"]] == [("missing_label", "MI01_0002")]


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        (lambda root: (root / "MI01/Images/I_MI01_0001.png").unlink(), "missing_image"),
        (lambda root: shutil.rmtree(root / "MI01/Masks"), "missing_label"),
        (lambda root: (root / "MI01/Masks/M_MI01_0001.png").write_bytes(b"x"), "unreadable"),
        (lambda root: Image.new("L", (90, 71)).save(root / "MI01/Masks/M_MI01_0001.png"), "shape_mismatch"),
        (eight_bits, "implausible"),
        (recoloured, "unexpected_label"),
    ],
)
def test_planted_fault_is_found_and_named(root: Path, plant, code: str) -> None:
    plant(root)
    report = check_data("alfi", root, progress=False)
    assert {fault["code"] for fault in report["faults"]} == {code}
    assert {fault["case_id"] for fault in report["faults"]} <= {"MI01", "MI01_0001"}


@pytest.mark.parametrize("options", [{"target": "cell"}, {"min_border_area": -1}])
def test_wrong_arguments_are_refused(root: Path, options: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        AlfiDataset(root, **options)

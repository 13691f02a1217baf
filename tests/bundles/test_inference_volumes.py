# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The inference bundle carries objects through volumes and writes what was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from scipy import ndimage
from scipy.spatial.transform import Rotation

from monai_synthfm.inferers import InteractiveSession
from monai_synthfm.networks import ImageEmbedding
from monai_synthfm.prompts import Prompts
from tests.bundles.stored_volumes import CLICK, OBLIQUE, ORIENTATIONS, SIZES, STRAIGHT, root_of, store
from tests.inferers.blob_segmenter import BlobSegmenter


def boxes_volume() -> tuple[np.ndarray, dict[int, tuple]]:
    """Two bright boxes in the dark, and the room that each takes."""
    rooms = {1: np.s_[3:9, 4:11, 1:8], 2: np.s_[13:20, 6:12, 3:9]}
    voxels = np.full(SIZES, 1, np.int16)
    for room in rooms.values():
        voxels[room] = 200
    voxels[0, 0, 0] = 220
    return voxels, rooms


def painted(rooms: dict[int, tuple]) -> np.ndarray:
    labels = np.zeros(SIZES, np.uint8)
    for number, room in rooms.items():
        labels[room] = number
    return labels


@pytest.mark.parametrize("number", [0, 13, 30, 47])
@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_a_volume_is_segmented_from_one_click_for_each_object(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, number: int, axis: str
) -> None:
    voxels, rooms = boxes_volume()
    source = store(tmp_path / "in.nii.gz", voxels, OBLIQUE, ORIENTATIONS[number])
    clicks = nib.affines.apply_affine(OBLIQUE, [[[5, 6, 4]], [[15, 8, 4]]]).tolist()
    prompts = {"points": clicks, "point_labels": [[1], [1]], "space": "world", "axis": axis}
    blobs = {"network_def": BlobSegmenter(), "direction": "both"}
    segment(tmp_path / "in.nii.gz", **prompts, **blobs)
    written = nib.load(tmp_path / "out" / "in_segmentation.nii.gz")
    expected = nib.apply_orientation(painted(rooms), ORIENTATIONS[number])
    np.testing.assert_array_equal(np.asarray(written.dataobj), expected)
    np.testing.assert_array_equal(written.affine, source.affine)
    report = json.loads((tmp_path / "out" / "in_report.json").read_text())
    across = report["slices"]["axis"]
    for found, room in zip(report["objects"], ndimage.find_objects(expected), strict=True):
        assert found["slices"] == [room[across].start, room[across].stop - 1]
        assert found["mm3"] == pytest.approx(np.prod([0.9, 1.1, 1.3]) * np.count_nonzero(expected[room]), rel=1e-4)


@pytest.mark.parametrize("number", [0, 13, 30, 47])
@pytest.mark.parametrize(("direction", "keep"), [("forward", np.s_[4:]), ("backward", np.s_[:5]), ("none", np.s_[4:5])])
def test_direction_and_slice_range_count_as_the_file_does(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, number: int, direction: str, keep: slice
) -> None:
    voxels, rooms = boxes_volume()
    source = store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[number])
    expected = nib.apply_orientation(painted({1: rooms[1]}), ORIENTATIONS[number])
    (room,) = ndimage.find_objects(expected)
    click = [(where.start + where.stop) // 2 for where in room]
    click[1] = 4 + room[1].start
    base = {"points": [[click]], "point_labels": [[1]], "axis": 1, "network_def": BlobSegmenter()}
    segment(tmp_path / "in.nii.gz", direction=direction, **base)
    found = np.asarray(nib.load(tmp_path / "out" / "in_segmentation.nii.gz").dataobj)
    wanted = np.zeros_like(expected)
    window = np.s_[
        :, room[1].start + (keep.start or 0) : source.shape[1] if keep.stop is None else room[1].start + keep.stop
    ]
    wanted[window] = expected[window]
    np.testing.assert_array_equal(found, wanted)

    first, last = click[1] - 2, click[1] + 1
    segment(tmp_path / "in.nii.gz", direction="both", slice_range=[first, last], **base)
    found = np.asarray(nib.load(tmp_path / "out" / "in_segmentation.nii.gz").dataobj)
    wanted = np.zeros_like(expected)
    wanted[:, first : last + 1] = expected[:, first : last + 1]
    np.testing.assert_array_equal(found, wanted)


def test_a_mask_on_one_slice_prompts_its_objects(segment: Callable[..., ConfigWorkflow], tmp_path: Path) -> None:
    voxels, rooms = boxes_volume()
    source = store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[21])
    drawn = painted(rooms)
    drawn[..., np.arange(SIZES[2]) != 5] = 0
    store(tmp_path / "mask.nii.gz", drawn, STRAIGHT, ORIENTATIONS[21])
    mask = {"mask": str(tmp_path / "mask.nii.gz"), "network_def": BlobSegmenter(), "axis": "axial"}
    segment(tmp_path / "in.nii.gz", direction="both", **mask)
    found = np.asarray(nib.load(tmp_path / "out" / "in_segmentation.nii.gz").dataobj)
    np.testing.assert_array_equal(found, nib.apply_orientation(painted(rooms), ORIENTATIONS[21]))
    assert found.shape == source.shape


def test_probabilities_agree_with_the_labels(segment: Callable[..., ConfigWorkflow], tmp_path: Path) -> None:
    voxels, rooms = boxes_volume()
    source = store(tmp_path / "in.nii.gz", voxels, OBLIQUE, ORIENTATIONS[17])
    clicks = nib.affines.apply_affine(OBLIQUE, [[[5, 6, 4]], [[15, 8, 4]]]).tolist()
    prompts = {"points": clicks, "point_labels": [[1], [1]], "space": "world", "axis": "axial"}
    segment(tmp_path / "in.nii.gz", probabilities=True, direction="both", network_def=BlobSegmenter(), **prompts)
    written = nib.load(tmp_path / "out" / "in_probabilities.nii.gz")
    expected = nib.apply_orientation(painted(rooms), ORIENTATIONS[17])
    assert written.shape == (*source.shape, 2)
    for n in (1, 2):
        np.testing.assert_array_equal(written.get_fdata()[..., n - 1] > 0.5, expected == n)
    labels = nib.load(tmp_path / "out" / "in_segmentation.nii.gz")
    np.testing.assert_array_equal(np.asarray(labels.dataobj), expected)
    np.testing.assert_array_equal(written.affine, labels.affine)


class Sure(BlobSegmenter):
    """Logits of 9, whose probabilities half precision cannot tell from 1."""

    def predict_masks(self, embedding: ImageEmbedding, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
        logits, scores = super().predict_masks(embedding, prompts)
        return torch.where(logits > 0, 9.0, -9.0), scores


@pytest.mark.parametrize("keep_largest", [False, True])
def test_labels_do_not_depend_on_whether_probabilities_are_written(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, keep_largest: bool
) -> None:
    voxels, _ = boxes_volume()
    store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[0])
    drawn = np.zeros(SIZES, np.uint8)
    drawn[3:6, 4:11, 4] = 2  # a part of object 1, known for sure
    drawn[16, 8, 4] = 2
    store(tmp_path / "mask.nii.gz", drawn, STRAIGHT, ORIENTATIONS[0])
    prompts = {"points": [[[5, 6, 4]], []], "point_labels": [[1], []], "mask": str(tmp_path / "mask.nii.gz")}
    found = []
    for probabilities in (False, True):
        options = {"probabilities": probabilities, "keep_largest": keep_largest, "network_def": Sure()}
        segment(tmp_path / "in.nii.gz", axis="axial", **prompts, **options)
        found.append(np.asarray(nib.load(tmp_path / "out" / "in_segmentation.nii.gz").dataobj))
    np.testing.assert_array_equal(*found)
    assert (found[0][3:6, 4:11, 4] == 2).all()
    assert (found[0][6:9, 4:11, 4] == 1).all()
    assert found[0][16, 8, 4] == (0 if keep_largest else 2)


@pytest.mark.parametrize("number", [0, 47])
def test_prompts_half_way_between_slices_belong_to_the_lower_slice_of_the_file(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, number: int
) -> None:
    voxels, rooms = boxes_volume()
    source = store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[number])
    room = ndimage.find_objects(nib.apply_orientation(painted(rooms), ORIENTATIONS[number]))[0]
    x, y, z = (where.start + 1 for where in room)
    prompts = {
        "clicks": {"points": [[[x, y, z + 0.5]]], "point_labels": [[1]], "slice_range": [z, z]},
        "world": {"points": [[nib.affines.apply_affine(source.affine, [x, y, z + 0.5]).tolist()]]},
        "box": {"boxes": [[x, y, z + 0.5, x + 1, y + 1, z + 2.5]], "slice_range": [z, z + 2]},
    }
    prompts["world"] |= {"point_labels": [[1]], "slice_range": [z, z], "space": "world"}
    for name, given in prompts.items():
        segment(tmp_path / "in.nii.gz", tmp_path / name, axis=2, network_def=BlobSegmenter(), **given)
        report = json.loads((tmp_path / name / "in_report.json").read_text())
        assert report["slices"]["prompted"] == list(range(given["slice_range"][0], given["slice_range"][1] + 1))
        labels = np.asarray(nib.load(tmp_path / name / "in_segmentation.nii.gz").dataobj)
        assert np.flatnonzero(labels.any(axis=(0, 1))).tolist() == report["slices"]["prompted"]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("angle", [0, 45, 90, 225])
def test_volumes_turned_by_45_degrees_are_segmented_as_in_a_session(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, angle: int, axis: int
) -> None:
    turned = Rotation.from_euler("xyz", (0, 45, angle), degrees=True).as_matrix().astype(np.float32)
    voxels, rooms = boxes_volume()
    source = store(tmp_path / "in.nii.gz", voxels, nib.affines.from_matvec(turned), ORIENTATIONS[0])
    prompts = {"points": [[[5, 6, 4]], [[15, 8, 4]]], "point_labels": [[1], [1]]}
    segment(tmp_path / "in.nii.gz", axis=axis, direction="both", network_def=BlobSegmenter(), **prompts)
    written = nib.load(tmp_path / "out" / "in_segmentation.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), painted(rooms))
    np.testing.assert_array_equal(written.affine, source.affine)
    report = json.loads((tmp_path / "out" / "in_report.json").read_text())
    assert (report["slices"]["axis"], report["objects"][0]["points"][0]["voxel"]) == (axis, [5, 6, 4])
    session = InteractiveSession(BlobSegmenter(), axis=axis)
    session.set_image(tmp_path / "in.nii.gz")
    session.set_prompts(**prompts)
    np.testing.assert_array_equal(session.segmentation[0], painted(rooms))


def test_a_second_run_with_other_prompts_encodes_nothing(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path
) -> None:
    voxels, rooms = boxes_volume()
    store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[0])
    network = BlobSegmenter()
    common = {"cache_dir": str(tmp_path / "cache"), "network_def": network, "direction": "both", "point_labels": [[1]]}
    for click, number, used in (([5, 6, 4], 1, (9, 0)), ([15, 8, 4], 2, (0, 7))):
        segment(tmp_path / "in.nii.gz", points=[[click]], axis="axial", **common)
        found = np.asarray(nib.load(tmp_path / "out" / "in_segmentation.nii.gz").dataobj)
        np.testing.assert_array_equal(found, painted({1: rooms[number]}))
        report = json.loads((tmp_path / "out" / "in_report.json").read_text())["embeddings"]
        assert (report["encoded"], report["reused"]) == used
        assert report["bytes"] > 0
    assert network.encoded == 9
    with pytest.raises(RuntimeError) as caught:
        segment(tmp_path / "in.nii.gz", points=[[[5, 6, 4]]], axis="coronal", **common)
    assert f"{tmp_path / 'cache'} is stale: axis is 2 there and 1 now" in str(root_of(caught.value))


def test_many_objects_are_written_as_16_bits(segment: Callable[..., ConfigWorkflow], tmp_path: Path) -> None:
    image = np.arange(20 * 13, dtype=np.int16).reshape(20, 13, 1)
    nib.save(nib.Nifti1Image(image, STRAIGHT), tmp_path / "in.nii.gz")
    segment(tmp_path / "in.nii.gz", boxes=[[x, y, 0, x, y, 0] for x in range(20) for y in range(13)])
    written = nib.load(tmp_path / "out" / "in_segmentation.nii.gz")
    assert written.get_data_dtype() == np.uint16
    assert np.asarray(written.dataobj).ravel().tolist() == list(range(1, 261))


def test_a_network_without_weights_is_announced(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[0])
    segment(tmp_path / "in.nii.gz", **CLICK)
    assert "No weights were given: the network is random" in caplog.text

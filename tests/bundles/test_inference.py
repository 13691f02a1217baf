# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from scipy import ndimage

from monai_synthfm.networks import MobileSam
from monai_synthfm.transforms.medsam import MedSAMIntensity
from tests.inferers.blob_segmenter import BlobSegmenter
from tests.inferers.region_grower import RegionGrower, grow

SIZES = (24, 22, 9)
CLICK = {"points": [[[9, 13, 4]]], "point_labels": [[1]]}
ORIENTATIONS = [
    np.array([*zip(order, flips, strict=True)], dtype=float)
    for order in permutations(range(3))
    for flips in product((1, -1), repeat=3)
]
"""All 48 ways to store the same volume: where each axis goes, and whether it is flipped."""


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    for axis, angle in enumerate(angles):
        turn = np.eye(4)
        a, b = [other for other in range(3) if other != axis]
        turn[[a, b, a, b], [a, b, b, a]] = [np.cos(angle), np.cos(angle), -np.sin(angle), np.sin(angle)]
        matrix = matrix @ turn
    return matrix


STRAIGHT = np.array([[0.9, 0, 0, -11], [0, 1.1, 0, 7], [0, 0, 1.3, 30], [0, 0, 0, 1.0]])
OBLIQUE = rotation((0.3, -0.2, 0.4)) @ STRAIGHT
SHEARED = STRAIGHT @ np.array([[1, 0.1, 0, 0], [0, 1, -0.15, 0], [0.05, 0, 1, 0], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def voxels() -> np.ndarray:
    """Blobs of two grey levels, in RAS order."""
    noise = torch.rand(1, 1, 7, 6, 4, generator=torch.Generator().manual_seed(5))
    blobs = torch.nn.functional.interpolate(noise, SIZES, mode="trilinear")[0, 0] > 0.45
    return (100 + 200 * blobs.numpy()).astype(np.int16)


def store(path: Path, array: np.ndarray, affine: np.ndarray, ornt: np.ndarray) -> nib.Nifti1Image:
    """Save a volume with its axes permuted and flipped, lying in space as before."""
    stored = nib.apply_orientation(array, ornt)
    image = nib.Nifti1Image(np.ascontiguousarray(stored), affine @ nib.orientations.inv_ornt_aff(ornt, array.shape))
    image.header.set_sform(image.affine, code=2)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return nib.load(path)


@pytest.fixture
def segment(bundle_dir: Path, tmp_path: Path) -> Callable[..., ConfigWorkflow]:
    """Run the bundle in this process with the region grower in place of a network."""

    def run(image: Path | str, output_dir: Path | None = None, **override: Any) -> ConfigWorkflow:
        workflow = ConfigWorkflow(
            config_file=str(bundle_dir / "configs" / "inference.yaml"),
            workflow_type="infer",
            logging_file=False,
            **{
                "image": str(image),
                "output_dir": str(output_dir or tmp_path / "out"),
                "device": torch.device("cpu"),
                "network_def": RegionGrower(),
                "direction": "none",
                "inferer::progress": False,
                **override,
            },
        )
        workflow.initialize()
        workflow.run()
        return workflow

    return run


def root_of(error: BaseException) -> BaseException:
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def expected_axial(voxels: np.ndarray, z: int, clicks: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The region grower's mask of one axial slice of a RAS volume, turned by hand to L to the right and P down."""
    grey = MedSAMIntensity("mr")(voxels[None])[0]
    shown = grey[::-1, ::-1, z].T
    turned = np.array([[SIZES[0] - 1 - x, SIZES[1] - 1 - y] for x, y in clicks])
    return (grow(shown, turned, labels, np.full(4, np.nan)) > 0).T[::-1, ::-1]


@pytest.mark.parametrize("affine", [STRAIGHT, OBLIQUE, SHEARED], ids=["straight", "oblique", "sheared"])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_mask_in_space_does_not_depend_on_how_the_volume_is_stored(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray, affine: np.ndarray, plane: str
) -> None:
    clicks = np.array([[9.3, 13.8, 4.4], [14.2, 12.1, 4.2], [5.0, 5.0, 6.0]])
    clicks[:2, {"sagittal": 0, "coronal": 1, "axial": 2}[plane]] = 4.3
    world = nib.affines.apply_affine(affine, clicks).tolist()
    box = nib.affines.apply_affine(affine, [[3.0, 4.0, 2.0], [17.0, 15.0, 5.0]]).ravel().tolist()
    prompts = {"points": [world[:2], world[2:], []], "point_labels": [[1, 0], [1], []], "boxes": [[], [], box]}
    store(tmp_path / "in.nii.gz", voxels, affine, ORIENTATIONS[0])
    workflow = segment(tmp_path / "in.nii.gz", space="world", axis=plane, handlers=[], **prompts)
    reference = workflow.evaluator.state.output[0]["pred"][0].numpy()
    assert set(np.unique(reference)) == {0, 1, 2, 3}
    for ornt in ORIENTATIONS:
        store(tmp_path / "in.nii.gz", voxels, affine, ornt)
        workflow.evaluator.run()
        found = workflow.evaluator.state.output[0]["pred"][0].numpy()
        np.testing.assert_array_equal(found, nib.apply_orientation(reference, ornt))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("number", [0, 13, 31, 47])
def test_file_lies_in_space_like_its_input(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray, number: int, suffix: str
) -> None:
    source = store(tmp_path / f"in{suffix}", voxels, OBLIQUE, ORIENTATIONS[number])
    middle = (np.array(source.shape) // 2).tolist()
    workflow = segment(tmp_path / f"in{suffix}", points=[[middle]], point_labels=[[1]])
    written = nib.load(tmp_path / "out" / "in_segmentation.nii.gz")
    labels = np.asarray(written.dataobj)
    assert labels[tuple(middle)] == 1
    np.testing.assert_array_equal(labels, workflow.evaluator.state.output[0]["pred"][0])
    np.testing.assert_array_equal(written.affine, source.affine)
    changed = {k for k in source.header if written.header[k].tobytes() != source.header[k].tobytes()}
    assert changed == {"datatype", "bitpix"}


def test_mask_is_that_of_the_slice_as_radiologists_see_it(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray
) -> None:
    clicks = [[9, 13, 4], [14, 12, 4]]
    store(tmp_path / "in.nii", voxels, STRAIGHT, ORIENTATIONS[0])
    segment(tmp_path / "in.nii", points=[clicks], point_labels=[[1, 0]], direction="none")
    found = np.asarray(nib.load(tmp_path / "out" / "in_segmentation.nii.gz").dataobj)
    expected = expected_axial(voxels, 4, np.array(clicks)[:, :2], np.array([1, 0]))
    assert expected.any()
    np.testing.assert_array_equal(found[..., 4], expected)
    assert not np.delete(found, 4, axis=2).any()


def test_world_and_lps_prompts_equal_voxel_prompts(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray
) -> None:
    image = store(tmp_path / "in.nii.gz", voxels, OBLIQUE, ORIENTATIONS[29])
    clicks = np.array([[3.0, 4.0, 7.0], [3.0, 2.0, 9.0]])
    box = np.array([[3.0, 1.0, 2.0], [7.0, 12.0, 12.0]])
    found = []
    for space, sign in (("voxel", None), ("world", [1, 1, 1]), ("lps", [-1, -1, 1])):
        points, corners = clicks, box
        if sign is not None:
            points, corners = (nib.affines.apply_affine(image.affine, given) * sign for given in (clicks, box))
        prompts = {
            "points": [points.tolist(), []],
            "point_labels": [[1, 0], []],
            "boxes": [[], corners.ravel().tolist()],
        }
        segment(tmp_path / "in.nii.gz", tmp_path / space, space=space, **prompts)
        found.append(np.asarray(nib.load(tmp_path / space / "in_segmentation.nii.gz").dataobj))
        report = json.loads((tmp_path / space / "in_report.json").read_text())
        points = report["objects"][0]["points"]
        np.testing.assert_allclose([point["voxel"] for point in points], clicks, atol=2e-3)
        world = nib.affines.apply_affine(image.affine, clicks)
        np.testing.assert_allclose([point["world"] for point in points], world, atol=5e-3)
        np.testing.assert_allclose(report["objects"][1]["box"]["voxel"], box.ravel(), atol=2e-3)
    assert set(np.unique(found[0])) == {0, 1, 2}
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


@pytest.mark.parametrize("shape", [(24, 22), (24, 22, 1), (24, 1, 22), (24, 22, 3, 1)])
def test_single_slices_keep_their_shape(segment: Callable[..., ConfigWorkflow], tmp_path: Path, shape: tuple) -> None:
    array = np.random.default_rng(0).integers(1, 3, shape).astype(np.float32)
    nib.save(nib.Nifti1Image(array, STRAIGHT), tmp_path / "in.nii")
    click = [[3, 0, 4]] if shape[1] == 1 else [[3, 4, 0]]
    segment(tmp_path / "in.nii", points=[click], point_labels=[[1]])
    written = nib.load(tmp_path / "out" / "in_segmentation.nii.gz")
    assert written.shape == shape
    assert np.asarray(written.dataobj).any()


def test_report_says_what_was_done(segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray) -> None:
    (tmp_path / "weights.pt").write_bytes(b"some weights")
    image = store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[0])
    weights = {"handlers::0::weights": [None, str(tmp_path / "weights.pt")]}
    segment(tmp_path / "in.nii.gz", points=[[[9, 13, 4]]], point_labels=[[1]], modality="mr", **weights)
    report = json.loads((tmp_path / "out" / "in_report.json").read_text())
    labels = np.asarray(nib.load(tmp_path / "out" / "in_segmentation.nii.gz").dataobj)
    assert report["image"] == str(tmp_path / "in.nii.gz")
    assert report["network"] == "RegionGrower"
    digest = hashlib.sha256(b"some weights").hexdigest()
    assert report["weights"] == [{"file": str(tmp_path / "weights.pt"), "sha256": digest}]
    assert report["intensity"]["policy"] == "percentiles"
    assert (report["plane"], report["slices"]) == ("axial", {"axis": 2, "prompted": [4], "segmented": 1})
    (found,) = report["objects"]
    assert found["voxels"] == np.count_nonzero(labels) > 0
    assert found["slices"] == [4, 4]
    assert (report["direction"], report["embeddings"]) == ("none", None)
    assert found["mm3"] == pytest.approx(found["voxels"] * np.prod(image.header.get_zooms()), rel=1e-4)
    assert found["points"] == [{"label": 1, "voxel": [9, 13, 4], "world": pytest.approx([-2.9, 21.3, 35.2], abs=1e-3)}]
    assert report["seconds"] > 0
    assert report["versions"]["torch"] == torch.__version__
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "in_overlay.png",
        "in_report.json",
        "in_segmentation.nii.gz",
    ]


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


def test_a_dicom_series_becomes_a_nifti_segmentation(segment: Callable[..., ConfigWorkflow], tmp_path: Path) -> None:
    pytest.importorskip("pydicom", reason="pydicom writes the DICOM slices")
    from tests.data.datasets.test_dicom import SHAPE, write_stack

    (tmp_path / "scan").mkdir()
    _, affine = write_stack(tmp_path / "scan")
    segment(tmp_path / "scan", boxes=[[1, 1, 2, 6, 5, 2]], modality="ct")
    written = nib.load(tmp_path / "out" / "scan_segmentation.nii.gz")
    assert written.shape == SHAPE
    np.testing.assert_allclose(written.affine, affine, atol=1e-5)
    labels = np.asarray(written.dataobj)
    assert labels[..., 2].any()
    assert not np.delete(labels, 2, axis=2).any()
    assert (tmp_path / "out" / "scan_overlay.png").is_file()


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


def nan_filled(array: np.ndarray) -> np.ndarray:
    return np.full(array.shape, np.nan, np.float32)


WRONG = {
    "4d": (lambda a: np.stack([a, a], -1), CLICK, "expected 2 or 3 dimensions, found shape (24, 22, 9, 2)."),
    "empty": (lambda a: a[:0], CLICK, "no voxels, its shape is (0, 22, 9)."),
    "nan": (nan_filled, CLICK, "4752 of 4752 voxels are NaN or infinite."),
    "no prompt": (None, {}, "nothing is prompted: give points with point_labels, boxes, or a mask."),
    "outside": (
        None,
        {"points": [[[9, 22, 4]]], "point_labels": [[1]]},
        "click 1 of object 1 lies outside the volume of 24 x 22 x 9 voxels: voxel [9.0, 22.0, 4.0].",
    ),
    "objects": (
        None,
        {**CLICK, "boxes": [[], [0, 0, 0, 1, 1, 1]]},
        "all prompts must speak of the same objects, got {'points': 1, 'point_labels': 1, 'boxes': 2}.",
    ),
    "label": (
        None,
        {**CLICK, "point_labels": [[3]]},
        "point_labels of object 1 must be 1 (positive) or 0 (negative), got [3].",
    ),
    "only negative": (
        None,
        {**CLICK, "point_labels": [[0]]},
        "object 1 has only negative clicks on slice 4 of axis 2: add a positive click or a box there.",
    ),
    "space": (None, {**CLICK, "space": "mm"}, "space must be one of voxel, world, lps, got 'mm'."),
    "axis": (None, {**CLICK, "axis": "k"}, "axis must be one of auto, axial, coronal, sagittal, 0, 1, 2, got 'k'."),
    "range": (
        None,
        {**CLICK, "slice_range": [5, 7]},
        "prompts lie on slices [4] of axis 2, out of slice_range 5 to 7.",
    ),
    "backward range": (
        None,
        {**CLICK, "slice_range": [5, 3]},
        "slice_range must be [first, last] within slices 0 to 8, got [5, 3].",
    ),
    "modality": (
        lambda a: -a,
        {**CLICK, "modality": "mr"},
        "image has no voxel above 0 (maximum -100), so its percentiles are unknown; "
        "give the modality 'ct' if these are Hounsfield units.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_gives_one_message_and_no_file(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray, name: str
) -> None:
    change, prompts, message = WRONG[name]
    path = tmp_path / "in.nii.gz"
    nib.save(nib.Nifti1Image(voxels if change is None else change(voxels), STRAIGHT), path)
    with pytest.raises(RuntimeError) as caught:
        segment(path, **prompts)
    error = root_of(caught.value)
    assert isinstance(error, ValueError)
    assert str(error).removeprefix(f"image {path}: ") == message
    assert [found.name for found in tmp_path.iterdir()] == ["in.nii.gz"]


def test_no_image_and_no_file_are_told_apart(segment: Callable[..., ConfigWorkflow], tmp_path: Path) -> None:
    for image, message in (("", "image: no file was given"), (str(tmp_path / "no.nii"), "no such file")):
        with pytest.raises(RuntimeError) as caught:
            segment(image, **CLICK)
        assert message in str(root_of(caught.value))
    assert not list(tmp_path.iterdir())


def test_a_failing_writer_leaves_no_file(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **keywords: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[0])
    with pytest.raises(RuntimeError) as caught:
        segment(tmp_path / "in.nii.gz", **CLICK)
    assert "no space left" in str(root_of(caught.value))
    assert [found.name for found in tmp_path.iterdir()] == ["in.nii.gz"]


def test_a_prediction_that_was_not_inverted_is_never_written(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray
) -> None:
    store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[0])
    with pytest.raises(RuntimeError) as caught:
        segment(tmp_path / "in.nii.gz", **CLICK, **{"postprocessing::transforms": []})
    assert "pred is not in the orientation of" in str(root_of(caught.value))
    assert not (tmp_path / "out").exists()


def test_relative_image_names_start_at_dataset_dir(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray
) -> None:
    store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[0])
    segment("in.nii.gz", dataset_dir=str(tmp_path), **CLICK)
    assert (tmp_path / "out" / "in_segmentation.nii.gz").is_file()


def test_config_has_the_properties_of_an_inference_bundle(bundle_dir: Path) -> None:
    workflow = ConfigWorkflow(
        config_file=str(bundle_dir / "configs" / "inference.yaml"),
        workflow_type="infer",
        meta_file=str(bundle_dir / "configs" / "metadata.json"),
        logging_file=False,
        image_size=64,
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    assert isinstance(workflow.network_def, MobileSam)


@pytest.mark.slow
def test_command_line_segments_with_a_trained_decoder(bundle_dir: Path, tmp_path: Path, voxels: np.ndarray) -> None:
    store(tmp_path / "in.nii.gz", voxels, OBLIQUE, ORIENTATIONS[17])
    network = MobileSam(image_size=64, reset_decoder=True, seed=3)
    decoder = {key: value for key, value in network.state_dict().items() if key.startswith("mask_decoder.")}
    torch.save(decoder, tmp_path / "decoder.pt")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file"]
    command += [str(bundle_dir / "configs" / "inference.yaml"), "--image", str(tmp_path / "in.nii.gz")]
    command += ["--image_size", "64", "--checkpoint", str(tmp_path / "decoder.pt")]
    command += ["--output_dir", str(tmp_path / "out"), "--point_labels", "[[1,0],[1],[]]"]
    command += ["--points", "[[[4,7,3],[2,9,3.0]],[[5,5,3]],[]]"]
    good = subprocess.run([*command, "--boxes", "[[],[],[1,2,3,6,12,8]]"], capture_output=True, text=True)
    assert good.returncode == 0, good.stderr
    report = json.loads((tmp_path / "out" / "in_report.json").read_text())
    assert report["network"] == "MobileSam"
    assert report["weights"][0]["sha256"] == hashlib.sha256((tmp_path / "decoder.pt").read_bytes()).hexdigest()
    assert [len(found["points"]) for found in report["objects"]] == [2, 1, 0]
    written = nib.load(tmp_path / "out" / "in_segmentation.nii.gz")
    np.testing.assert_array_equal(written.affine, nib.load(tmp_path / "in.nii.gz").affine)

    bad = subprocess.run([*command, "--boxes", "[[],[],[1,2,3,6,12,90]]"], capture_output=True, text=True)
    assert bad.returncode == 1
    assert bad.stderr.splitlines()[-1].startswith("error: box of object 3 lies outside the volume of ")
    assert "Traceback" not in bad.stderr

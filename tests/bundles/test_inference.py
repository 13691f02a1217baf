# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Masks of the inference bundle lie in space where the prompts are, however the volume is stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow

from monai_synthfm.networks import MobileSam
from monai_synthfm.transforms.medsam import MedSAMIntensity
from tests.bundles.stored_volumes import OBLIQUE, ORIENTATIONS, SHEARED, SIZES, STRAIGHT, store
from tests.inferers.level_segmenter import LevelSegmenter
from tests.inferers.region_grower import grow


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


@pytest.mark.parametrize(("multimask", "side", "chosen"), [("never", 5, None), ("smaller", 3, 0), ("larger", 7, 2)])
def test_the_next_smaller_or_larger_answer_is_carried_and_all_areas_are_reported(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, multimask: str, side: int, chosen: int | None
) -> None:
    bright = np.zeros((16, 14, 10), np.int16)
    bright[4:9, 5:10, 2:8] = 100
    bright[12:15, 1:4, 2:8] = 100
    nib.save(nib.Nifti1Image(bright, np.diag([-2.0, 3.0, 4.0, 1.0])), tmp_path / "in.nii")
    options = {"network_def": LevelSegmenter(), "multimask": multimask, "direction": "both", "modality": "mr"}
    mask = np.zeros_like(bright)
    mask[12:15, 1:4, 6] = 2
    nib.save(nib.Nifti1Image(mask, np.diag([-2.0, 3.0, 4.0, 1.0])), tmp_path / "mask.nii")
    segment(
        tmp_path / "in.nii",
        points=[[[6, 7, 4]], []],
        point_labels=[[1], []],
        mask=str(tmp_path / "mask.nii"),
        **options,
    )
    found = np.asarray(nib.load(tmp_path / "out" / "in_segmentation.nii.gz").dataobj)
    margin = (side - 5) // 2
    expected = np.zeros(bright.shape[:2], bool)
    expected[4 - margin : 9 + margin, 5 - margin : 10 + margin] = True
    np.testing.assert_array_equal(found[..., 4] == 1, expected)
    # carried, unless its mean grey level is that of no object on the next slice
    assert (found[..., 2] == 1).any() == (multimask != "larger")
    first, second = json.loads((tmp_path / "out" / "in_report.json").read_text())["objects"]
    areas = {"pixels": [9, 25, 49], "mm2": [54.0, 150.0, 294.0]}
    of_size = {} if chosen is None else {"single": {"pixels": 25, "mm2": 150.0}, "chosen": chosen}
    assert first["alternatives"] == {**areas, **of_size}
    assert "alternatives" not in second  # prompted by a mask alone


@pytest.mark.parametrize("affine", [STRAIGHT, OBLIQUE], ids=["straight", "oblique"])
def test_world_and_lps_prompts_equal_voxel_prompts(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray, affine: np.ndarray
) -> None:
    image = store(tmp_path / "in.nii.gz", voxels, affine, ORIENTATIONS[29])
    clicks = np.array([[3.0, 4.0, 7.0], [3.0, 2.0, 9.0]])
    box = np.array([[3.0, 1.0, 2.0], [7.0, 12.0, 12.0]])
    found = []
    for space, sign in (("voxel", None), ("world", [1, 1, 1]), ("lps", [-1, -1, 1])):
        points, corners = clicks, box
        if sign is not None:
            points, corners = (nib.affines.apply_affine(image.affine, given) * sign for given in (clicks, box))
        prompts = {"points": [points.tolist(), []], "point_labels": [[1, 0], []]}
        prompts["boxes"] = [[], corners.ravel().tolist()]
        if affine is OBLIQUE:  # a box in mm is another one there
            prompts = {"points": [points.tolist()], "point_labels": [[1, 0]]}
        segment(tmp_path / "in.nii.gz", tmp_path / space, space=space, **prompts)
        found.append(np.asarray(nib.load(tmp_path / space / "in_segmentation.nii.gz").dataobj))
        report = json.loads((tmp_path / space / "in_report.json").read_text())
        points = report["objects"][0]["points"]
        np.testing.assert_allclose([point["voxel"] for point in points], clicks, atol=2e-3)
        world = nib.affines.apply_affine(image.affine, clicks)
        np.testing.assert_allclose([point["world"] for point in points], world, atol=5e-3)
        if affine is STRAIGHT:
            np.testing.assert_allclose(report["objects"][1]["box"]["voxel"], box.ravel(), atol=2e-3)
    assert set(np.unique(found[0])) == ({0, 1} if affine is OBLIQUE else {0, 1, 2})
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


def test_negative_clicks_alone_on_a_slice_end_the_object_and_are_reported(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray
) -> None:
    store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[0])
    found = []
    for clicks in ([[9, 13, 4]], [[9, 13, 4], [1, 1, 3]]):
        segment(tmp_path / "in.nii.gz", points=[clicks], point_labels=[[1, 0][: len(clicks)]], direction="both")
        found.append(np.asarray(nib.load(tmp_path / "out" / "in_segmentation.nii.gz").dataobj))
    assert all(found[0][..., index].any() for index in (2, 3, 4, 5))
    found[0][..., :4] = 0
    np.testing.assert_array_equal(found[1], found[0])
    report = json.loads((tmp_path / "out" / "in_report.json").read_text())
    assert report["slices"]["prompted"] == [3, 4]
    assert [point["label"] for point in report["objects"][0]["points"]] == [1, 0]


def test_the_last_line_says_where_the_result_is_and_how_large(
    segment: Callable[..., ConfigWorkflow],
    tmp_path: Path,
    voxels: np.ndarray,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[0])
    workflow = segment(tmp_path / "in.nii.gz", points=[[[9, 13, 4]]], point_labels=[[1]])
    capsys.readouterr()
    workflow.finalize()
    path = tmp_path / "out" / "in_segmentation.nii.gz"
    found = nib.load(path)
    volume = np.asarray(found.dataobj).sum() * abs(np.linalg.det(found.affine[:3, :3])) / 1000
    told = capsys.readouterr().out.removeprefix(f"{path}: object 1 has ").removesuffix(" ml\n")
    assert float(told) == pytest.approx(volume, rel=0.05, abs=0.05 if volume >= 0.1 else 0.0)
    segment(tmp_path / "in.nii.gz", points=[[[9, 13, 4]]], point_labels=[[1]], handlers=[]).finalize()


def test_zoom_segments_and_is_named_in_the_report(
    segment: Callable[..., ConfigWorkflow], tmp_path: Path, voxels: np.ndarray
) -> None:
    store(tmp_path / "in.nii.gz", voxels, STRAIGHT, ORIENTATIONS[0])
    network = MobileSam(image_size=64)
    options = {"boxes": [[9, 9, 4, 14, 15, 4]], "network_def": network, "zoom": True, "direction": "both"}
    segment(tmp_path / "in.nii.gz", **options)
    report = json.loads((tmp_path / "out" / "in_report.json").read_text())
    assert report["network"] == "Zoom(MobileSam)"
    assert nib.load(tmp_path / "out" / "in_segmentation.nii.gz").shape == voxels.shape

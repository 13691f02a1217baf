# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What is segmented in DICOM and in pictures lies in mm where the object is, through both bundles and a session."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from matplotlib.figure import Figure
from monai.bundle import ConfigWorkflow
from PIL import Image
from pydicom.uid import EnhancedCTImageStorage, UltrasoundMultiFrameImageStorage

from monai_synthfm.handlers import segmentation_writer
from monai_synthfm.inferers import InteractiveSession
from tests.bundles.stored_volumes import OBLIQUE, ORIENTATIONS, STRAIGHT, root_of
from tests.data.datasets.dicom_files import enhanced, plain, save, write_series
from tests.inferers.blob_segmenter import BlobSegmenter

SIZES = (12, 10, 7)
ROOM = np.array([[2, 3, 1], [6, 5, 4]])
CENTRE = ROOM.mean(axis=0).round()
Segment = Callable[[str, Path, dict[str, Any]], Path]


def bright() -> np.ndarray:
    voxels = np.ones(SIZES, np.int16)
    voxels[tuple(slice(low, high + 1) for low, high in ROOM.T)] = 200
    voxels[0, 0, 0] = 220
    return voxels


def write(folder: Path, affine: np.ndarray, ornt: np.ndarray, **tags: Any) -> list[Path]:
    """Write the volume as a series of slices across one of its axes, whatever way its axes run."""
    stored = np.ascontiguousarray(nib.apply_orientation(bright(), ornt))
    return write_series(folder, stored, affine @ nib.orientations.inv_ornt_aff(ornt, SIZES), Modality="MR", **tags)


def truth(files: list[Path]) -> dict[tuple[float, ...], bool]:
    """Whether the object is at each pixel, by its place in LPS+ mm, pixel by pixel by the formula of DICOM."""
    found = {}
    for path in files:
        item = pydicom.dcmread(path)
        row, column = np.split(np.array(item.ImageOrientationPatient, float), 2)
        down, across = np.array(item.PixelSpacing, float)
        origin, pixels = np.array(item.ImagePositionPatient, float), item.pixel_array
        for y, x in np.ndindex(pixels.shape):
            place = origin + row * across * x + column * down * y
            found[tuple(place.round(2))] = bool(pixels[y, x] == 200)
    return found


def labelled(path: Path) -> dict[tuple[float, ...], bool]:
    """Whether ITK finds the label at each voxel, by its place in LPS+ mm."""
    image = sitk.ReadImage(str(path))
    return {
        tuple(np.round(image.TransformIndexToPhysicalPoint(index), 2)): image[index] == 1
        for index in np.ndindex(image.GetSize())
    }


def agree(found: dict[tuple[float, ...], bool], expected: dict[tuple[float, ...], bool]) -> bool:
    """Compare labels whose places agree to 0.02 mm; the set of places decides which voxel is which."""
    places, wanted = (np.array(sorted(places)) for places in (found, expected))
    if places.shape != wanted.shape:
        return False
    inside, expected_inside = (
        np.array(sorted(place for place, label in places.items() if label)) for places in (found, expected)
    )
    return inside.shape == expected_inside.shape and all(
        np.abs(b[:, None] - a[None]).max(axis=2).min(axis=1).max() < 0.02
        for a, b in ((places, wanted), (inside, expected_inside))
    )


@pytest.fixture
def segment(bundle_dir: Path, tmp_path: Path) -> Segment:
    """Segment a file by one of the bundles or by a session; return the file of labels."""

    def run(way: str, image: Path, **prompts: Any) -> Path:
        if way == "session":
            session = InteractiveSession(BlobSegmenter(), axis=prompts.get("axis", "auto"))
            session.set_image(image, series=prompts.get("series"))
            session.add_points(prompts["points"][0], prompts["point_labels"][0], space=prompts.get("space", "voxel"))
            session.save(tmp_path / "out" / "session.nii.gz")
            return tmp_path / "out" / "session.nii.gz"
        workflow = ConfigWorkflow(
            config_file=str(bundle_dir.parent / way / "configs" / "inference.yaml"),
            workflow_type="infer",
            logging_file=False,
            image=str(image),
            output_dir=str(tmp_path / "out"),
            device=torch.device("cpu"),
            network_def=BlobSegmenter(),
            **{"inferer::progress": False, **prompts},
        )
        workflow.initialize()
        workflow.run()
        return tmp_path / "out" / f"{image.name}_segmentation.nii.gz"

    return run


@pytest.fixture
def again(segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Segment:
    """Segment as above, a bundle's config parsed once for one name of image and one set of prompts."""
    monkeypatch.setattr(segmentation_writer, "draw_overlay", lambda panels, legend: Figure((1, 1)))  # many take long
    made: list[ConfigWorkflow] = []
    monkeypatch.setattr(ConfigWorkflow, "run", lambda self: made.append(self) or self.evaluator.run())

    def run(way: str, image: Path, **prompts: Any) -> Path:
        if way == "session" or not made:
            return segment(way, image, **prompts)
        made[0].evaluator.run()
        return tmp_path / "out" / f"{image.name}_segmentation.nii.gz"

    return run


def click(affine: np.ndarray) -> dict[str, Any]:
    return {"points": [[(affine @ [*CENTRE, 1])[:3].tolist()]], "point_labels": [[1]], "space": "world"}


@pytest.mark.parametrize("way", ["synthfm_sam", "synthfm_sam2_3d", "session"])
@pytest.mark.parametrize("affine", [STRAIGHT, OBLIQUE], ids=["straight", "oblique"])
def test_labels_lie_in_mm_where_the_object_is_however_a_series_is_stored(
    again: Segment, tmp_path: Path, way: str, affine: np.ndarray
) -> None:
    for number, ornt in enumerate(ORIENTATIONS):
        if affine is STRAIGHT and number % 5:
            continue
        shutil.rmtree(tmp_path / "scan", ignore_errors=True)
        files = write(tmp_path / "scan", affine, ornt)
        written = again(way, tmp_path / "scan", **click(affine))
        assert agree(labelled(written), truth(files)), f"orientation {number}"


@pytest.mark.parametrize("way", ["synthfm_sam", "session"])
@pytest.mark.parametrize("number", [5, 18])
def test_an_enhanced_file_is_segmented_like_a_series(segment: Segment, tmp_path: Path, way: str, number: int) -> None:
    ornt = ORIENTATIONS[number]
    files = write(tmp_path / "series", OBLIQUE, ornt)
    stored = np.ascontiguousarray(nib.apply_orientation(bright(), ornt))
    affine = OBLIQUE @ nib.orientations.inv_ornt_aff(ornt, SIZES)
    item = enhanced(stored, affine, np.random.default_rng(0).permutation(stored.shape[2]))
    written = segment(way, save(item, tmp_path / "all"), **click(OBLIQUE))
    assert agree(labelled(written), truth(files))


def report_of(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / "out" / f"{name}_report.json").read_text())


def test_the_report_of_a_series_is_in_mm_and_says_its_modality(segment: Segment, tmp_path: Path) -> None:
    stored = bright().astype(int) + 42800
    stored[-1, -1, -1] = 0
    write_series(tmp_path / "mr", stored, OBLIQUE, Modality="MR", RescaleIntercept=-42675, RescaleSlope=1)
    segment("synthfm_sam", tmp_path / "mr", **click(OBLIQUE))
    report = report_of(tmp_path, "mr")
    assert report["intensity"]["reason"] == "auto: the header of the file says MR"
    assert report["intensity"]["policy"] == "percentiles"
    (found,) = report["objects"]
    assert found["mm3"] == pytest.approx(5 * 3 * 4 * 0.9 * 1.1 * 1.3, rel=1e-4)
    np.testing.assert_allclose(found["points"][0]["world"], (OBLIQUE @ [*CENTRE, 1])[:3], atol=2e-3)


def test_a_series_is_chosen_among_several(segment: Segment, tmp_path: Path) -> None:
    files = write(tmp_path / "scan", STRAIGHT, ORIENTATIONS[0])
    other = {"SeriesNumber": 8, "SeriesInstanceUID": "1.2.8", "name": lambda z: f"other{z}"}
    write(tmp_path / "scan", OBLIQUE, ORIENTATIONS[0], **other)
    for way in ("synthfm_sam", "synthfm_sam2_3d", "session"):
        assert agree(labelled(segment(way, tmp_path / "scan", series=1, **click(STRAIGHT))), truth(files))
    with pytest.raises(RuntimeError) as caught:
        segment("synthfm_sam", tmp_path / "scan", **click(STRAIGHT))
    assert "found 2: series 1" in str(root_of(caught.value))


def test_a_tilted_gantry_is_segmented_where_it_lies(segment: Segment, tmp_path: Path) -> None:
    tilt = np.deg2rad(18)
    affine = np.diag([-0.9, 0, 0, 1.0])
    affine[1:3, 1], affine[2, 2] = [-1.1 * np.cos(tilt), 1.1 * np.sin(tilt)], 2.5
    files = write_series(tmp_path / "ct", bright(), affine, Modality="MR")
    written = nib.load(segment("synthfm_sam", tmp_path / "ct", **click(affine)))
    found = {}
    for index in np.ndindex(written.shape):
        place = nib.affines.apply_affine(written.get_sform(), index) * [-1, -1, 1]
        found[tuple(place.round(2))] = written.dataobj[index] == 1
    assert agree(found, truth(files))
    assert [int(written.header[code]) for code in ("qform_code", "sform_code")] == [0, 1]


@pytest.mark.parametrize("kind", ["png", "dcm", "nrrd"])
def test_a_file_without_a_place_is_segmented_without_mm(segment: Segment, tmp_path: Path, kind: str) -> None:
    path, values = tmp_path / f"in.{kind}", bright()[..., 2]
    if kind == "png":
        Image.fromarray(values.T.astype(np.uint8)).save(path)
    elif kind == "dcm":
        save(plain(values, UltrasoundMultiFrameImageStorage, "US"), path)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(values.T), path)
    prompts = {"points": [[[4, 4, 0]]], "point_labels": [[1]]}
    written = nib.load(segment("synthfm_sam", path, **prompts))
    np.testing.assert_array_equal(np.asarray(written.dataobj)[..., 0] == 1, values == 200)
    report = report_of(tmp_path, path.name)
    assert report["plane"] is None
    assert report["objects"][0]["mm3"] is None
    assert report["objects"][0]["points"] == [{"label": 1, "voxel": [4, 4, 0], "world": None}]
    assert written.header.get_xyzt_units()[0] == ("mm" if kind == "nrrd" else "unknown")
    for way in ("synthfm_sam", "session"):
        with pytest.raises((RuntimeError, ValueError)) as caught:
            segment(way, path, **{**prompts, "space": "world"})
        assert "does not say where it lies; give prompts in space voxel" in str(root_of(caught.value))


def test_a_sequence_is_segmented_frame_by_frame(segment: Segment, tmp_path: Path) -> None:
    frames = np.stack([bright()[..., 2].T] * 4)
    path = save(plain(frames, UltrasoundMultiFrameImageStorage, "US", PixelSpacing=[0.3, 0.2]), tmp_path / "cine.dcm")
    written = nib.load(segment("synthfm_sam2_3d", path, points=[[[4, 4, 1]]], point_labels=[[1]]))
    np.testing.assert_array_equal(np.asarray(written.dataobj) == 1, frames.transpose(2, 1, 0) == 200)


def test_units_of_a_file_are_kept_and_mm_reported(segment: Segment, tmp_path: Path) -> None:
    stored = nib.Nifti1Image(bright(), np.diag([1e-3, 1e-3, 1e-3, 1.0]) @ STRAIGHT)
    stored.header.set_xyzt_units("meter")
    nib.save(stored, tmp_path / "in.nii")
    segment("synthfm_sam", tmp_path / "in.nii", modality="mr", **click(STRAIGHT))
    (found,) = report_of(tmp_path, "in")["objects"]
    assert found["mm3"] == pytest.approx(5 * 3 * 4 * 0.9 * 1.1 * 1.3, rel=1e-4)
    np.testing.assert_allclose(found["points"][0]["world"], (STRAIGHT @ [*CENTRE, 1])[:3], atol=2e-3)
    written = nib.load(tmp_path / "out" / "in_segmentation.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj) == 1, bright() == 200)
    assert written.header.get_xyzt_units()[0] == "meter"
    np.testing.assert_array_equal(written.affine, nib.load(tmp_path / "in.nii").affine)


def test_an_enhanced_ct_is_windowed(segment: Segment, tmp_path: Path) -> None:
    item = enhanced(bright() + 1000, STRAIGHT, kind=EnhancedCTImageStorage, modality="CT")
    for frame in item.PerFrameFunctionalGroupsSequence:
        frame.PixelValueTransformationSequence[0].RescaleIntercept = -1000
    segment("synthfm_sam", save(item, tmp_path / "ct.dcm"), **click(STRAIGHT))
    intensity = report_of(tmp_path, "ct.dcm")["intensity"]
    assert (intensity["policy"], intensity["low"], intensity["high"]) == ("window", 1, 220)

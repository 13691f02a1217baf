# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""DICOM files of every kind: enhanced ones, sequences, radiographs, and those that say what they are instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    EnhancedUSVolumeStorage,
    MRImageStorage,
    NuclearMedicineImageStorage,
    RLELossless,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)
from scipy.spatial.transform import Rotation

from monai_synthfm.io.dicom.headers import read_header
from monai_synthfm.io.dicom.volume import read_dicom
from monai_synthfm.io.faults import FaultError
from tests.data.datasets.dicom_files import change, enhanced, group, merged, place, plain, save, write_series

SHAPE = (6, 5, 7)
VOXELS = np.random.default_rng(0).integers(0, 4000, SHAPE)
TURNED = np.eye(4)
TURNED[:3, :3] = Rotation.from_euler("xyz", [0.3, -0.2, 0.5]).as_matrix() * [0.8, 0.9, 2.5]
TURNED[:3, 3] = [-30, 20, 100]
ORDER = [3, 0, 6, 1, 5, 2, 4]
SLOPES = [1.0, 0.5, 2.0, 1.5, 0.25, 3.0, 1.25]


@pytest.mark.parametrize("kind", [EnhancedCTImageStorage, "1.2.840.10008.5.1.4.1.1.4.1"])
@pytest.mark.parametrize("compressed", [False, True])
def test_an_enhanced_file_has_a_place_and_a_slope_for_each_frame(tmp_path: Path, kind: str, compressed: bool) -> None:
    item = enhanced(VOXELS, TURNED, ORDER, SLOPES, kind)
    if compressed:
        item.compress(RLELossless)
    found = read_dicom([read_header(save(item, tmp_path / "one"))])
    np.testing.assert_allclose(found.voxels, VOXELS * SLOPES - np.arange(7), rtol=1e-6)
    np.testing.assert_allclose(found.stack.affine, TURNED, atol=1e-6)
    assert [ORDER[index] for index in found.stack.order] == list(range(7))
    assert found.stack.has_position


def test_frames_of_several_files_are_one_volume(tmp_path: Path) -> None:
    parts = [enhanced(VOXELS, TURNED, order, SLOPES) for order in ([0, 2, 4, 6], [5, 3, 1])]
    headers = [read_header(save(item, tmp_path / f"{k}.dcm")) for k, item in enumerate(parts)]
    found = read_dicom(headers)
    np.testing.assert_allclose(found.voxels, VOXELS * SLOPES - np.arange(7), rtol=1e-6)
    np.testing.assert_allclose(found.stack.affine, TURNED, atol=1e-6)


def test_places_may_be_shared_or_said_frame_by_frame(tmp_path: Path) -> None:
    item = enhanced(VOXELS, TURNED, ORDER)
    shared = item.SharedFunctionalGroupsSequence[0]
    for frame in item.PerFrameFunctionalGroupsSequence:
        frame.PixelMeasuresSequence = shared.PixelMeasuresSequence
        frame.PlaneOrientationSequence = shared.PlaneOrientationSequence
        del frame.PixelValueTransformationSequence
    del item.SharedFunctionalGroupsSequence
    item.RescaleSlope, item.RescaleIntercept = 2, -1000
    found = read_dicom([read_header(save(item, tmp_path / "one.dcm"))])
    np.testing.assert_array_equal(found.voxels, VOXELS * 2 - 1000)
    np.testing.assert_allclose(found.stack.affine, TURNED, atol=1e-6)


def test_an_enhanced_file_of_one_frame_is_a_slice(tmp_path: Path) -> None:
    found = read_dicom([read_header(save(enhanced(VOXELS[..., :1], TURNED), tmp_path / "one.dcm"))])
    np.testing.assert_array_equal(found.voxels, VOXELS[..., :1])
    expected = TURNED.copy()
    expected[:3, 2] *= 9.0 / 2.5  # the slice's thickness
    np.testing.assert_allclose(found.stack.affine, expected, atol=1e-6)


def test_volumes_within_an_enhanced_file_are_told_by_what_differs(tmp_path: Path) -> None:
    item = enhanced(np.concatenate([VOXELS, VOXELS], axis=2), TURNED)
    for k, frame in enumerate(item.PerFrameFunctionalGroupsSequence):
        position = place(TURNED, k % 7)["ImagePositionPatient"]
        frame.update(
            merged(
                group("PlanePositionSequence", ImagePositionPatient=position),
                group("MREchoSequence", EffectiveEchoTime=[2.5, 5.0][k // 7]),
            )
        )
    with pytest.raises(FaultError, match=r"14 slices at 7 places, which differ in EffectiveEchoTime \(2\.5, 5\.0\)"):
        read_dicom([read_header(save(item, tmp_path / "one.dcm"))])


def test_an_ultrasound_volume_has_mm_but_no_place_in_the_patient(tmp_path: Path) -> None:
    item = enhanced(VOXELS, TURNED, ORDER, kind=EnhancedUSVolumeStorage, modality="US")
    (shared,) = item.SharedFunctionalGroupsSequence
    turned = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    del shared.PlaneOrientationSequence
    shared.update(group("PlaneOrientationVolumeSequence", ImageOrientationVolume=turned))
    for frame in item.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        del frame.PlanePositionSequence
        frame.update(group("PlanePositionVolumeSequence", ImagePositionVolume=position))
    found = read_dicom([read_header(save(item, tmp_path / "one.dcm"))])
    np.testing.assert_array_equal(found.voxels, VOXELS)
    np.testing.assert_allclose(found.stack.affine, TURNED, atol=1e-6)
    assert (found.stack.has_spacing, found.stack.has_position, found.modality) == (True, False, "US")


def region(**tags: object) -> Dataset:
    item = Dataset()
    for tag, value in {"PhysicalUnitsXDirection": 3, "PhysicalUnitsYDirection": 3, **tags}.items():
        setattr(item, tag, value)
    return item


def test_an_ultrasound_sequence_is_its_frames_in_order(tmp_path: Path) -> None:
    stored = VOXELS.transpose(2, 1, 0)
    item = plain(stored, UltrasoundMultiFrameImageStorage, "US", FrameTime=33.0)
    item.SequenceOfUltrasoundRegions = [region(PhysicalDeltaX=0.02, PhysicalDeltaY=0.03)]
    found = read_dicom([read_header(save(item, tmp_path / "cine"))])
    np.testing.assert_array_equal(found.voxels, VOXELS)
    np.testing.assert_allclose(found.stack.affine, np.diag([-0.2, -0.3, 1, 1]))
    assert (found.stack.has_spacing, found.stack.has_position) == (True, False)


@pytest.mark.parametrize(
    "regions",
    [
        [],
        [region(PhysicalDeltaX=0.02, PhysicalDeltaY=0.03), region(PhysicalDeltaX=0.05, PhysicalDeltaY=0.05)],
        [region(PhysicalUnitsXDirection=4, PhysicalDeltaX=0.02, PhysicalDeltaY=0.03)],  # seconds
    ],
)
def test_ultrasound_of_unknown_scale_has_no_mm(tmp_path: Path, regions: list[Dataset]) -> None:
    item = plain(VOXELS[..., 0], UltrasoundImageStorage, "US", SequenceOfUltrasoundRegions=regions)
    found = read_dicom([read_header(save(item, tmp_path / "a.dcm"))])
    assert (found.stack.has_spacing, found.stack.has_position) == (False, False)
    np.testing.assert_array_equal(found.stack.affine, np.diag([-1, -1, 1, 1]))


@pytest.mark.parametrize("tag", ["PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"])
def test_a_radiograph_has_the_mm_that_it_says(tmp_path: Path, tag: str) -> None:
    item = plain(VOXELS[..., 0], DigitalXRayImageStorageForPresentation, "DX", **{tag: [0.2, 0.1]})
    found = read_dicom([read_header(save(item, tmp_path / "a.dcm"))])
    np.testing.assert_allclose(found.stack.affine, np.diag([-0.1, -0.2, 1, 1]))
    assert (found.stack.has_spacing, found.stack.has_position) == (True, False)
    bare = plain(VOXELS[..., 0], DigitalXRayImageStorageForPresentation, "DX")
    assert not read_dicom([read_header(save(bare, tmp_path / "b.dcm"))]).stack.has_spacing


def mosaic(path: Path) -> Path:
    item = plain(VOXELS[..., 0], MRImageStorage, "MR", ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
    return save(item, path)


def without_groups(path: Path) -> Path:
    return save(plain(VOXELS.transpose(2, 1, 0), NuclearMedicineImageStorage, "NM"), path)


def fewer_groups(path: Path) -> Path:
    item = enhanced(VOXELS, TURNED)
    del item.PerFrameFunctionalGroupsSequence[0]
    return save(item, path)


def fewer_frames(path: Path) -> Path:
    item = enhanced(VOXELS, TURNED)
    item.PixelData = item.PixelData[: -2 * 30]
    return save(item, path)


def high_throughput(path: Path) -> Path:
    item = plain(VOXELS[..., 0], **place(TURNED, 0))
    item.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f" + bytes(60)])
    item.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.201"
    return save(item, path)


def nonsense(path: Path) -> Path:
    item = plain(VOXELS[..., 0], **place(TURNED, 0))
    item.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f" + bytes(60)])
    item.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"
    return save(item, path)


def no_pixels(path: Path) -> Path:
    write_series(path.parent, VOXELS[..., :1], TURNED, lambda z: path.name)
    change(path, PixelData=None)
    return path


def bad_position(path: Path) -> Path:
    item = plain(VOXELS[..., 0], **{**place(TURNED, 0), "ImagePositionPatient": [1, 2]})
    return save(item, path)


def real(name: str) -> object:
    return lambda path: Path(get_testdata_file(name))


SAYS = {
    "mosaic": (mosaic, "shape_mismatch: .*a mosaic of .*convert it with dcm2niix"),
    "frames without places": (without_groups, "7 frames without positions .Nuclear Medicine.*; convert"),
    "colour sequence without places": (real("SC_rgb_rle_2frame.dcm"), "2 frames without positions .*convert"),
    "fewer groups": (fewer_groups, "7 frames, but 6 descriptions of frames"),
    "fewer frames": (fewer_frames, "cut short: 360 bytes of pixels are there, 420 expected"),
    "codec": (high_throughput, "compressed as High-Throughput JPEG 2000.*, which ITK cannot decode; decompress it"),
    "damaged codec": (nonsense, r"its pixels cannot be decoded \(JPEG 2000"),
    "no pixels": (no_pixels, "cut short: 0 bytes of pixels are there, 60 expected"),
    "bad position": (bad_position, "its position must be 3 numbers, found"),
    "truncated": (real("MR_truncated.dcm"), "cut short: 8130 bytes of pixels are there, 8192 expected"),
    "colour": (real("examples_rgb_color.dcm"), "colour: .*grey values are expected; convert it to grey"),
    "colour sequence": (real("examples_ybr_color.dcm"), "colour: .*convert it to grey"),
    "palette": (real("examples_palette.dcm"), "colour: .*convert it to grey"),
    "dose": (real("rtdose.dcm"), "unknown_format: .*a dose distribution, not an image"),
    "segmentation": (real("liver_1frame.dcm"), "unknown_format: .*a segmentation, not an image"),
    "plan": (real("rtplan.dcm"), r"no image is in it \(RT Plan Storage\)"),
    "list": (real("DICOMDIR"), "a DICOMDIR, which lists the files of a disc"),
    "text": (real("README.txt"), "not a whole DICOM file"),
}


@pytest.mark.parametrize("name", SAYS)
def test_what_is_no_volume_says_what_it_is_in_one_sentence(tmp_path: Path, name: str) -> None:
    make, message = SAYS[name]
    path = make(tmp_path / "a.dcm")
    with pytest.raises(FaultError, match=message) as caught:
        read_dicom([read_header(path)])
    assert caught.value.file == str(path)
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)

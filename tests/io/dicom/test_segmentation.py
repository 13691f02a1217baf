# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""DICOM SEG: every labelled voxel is at its place in the patient, whatever the plane of the series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_synthfm.io.dicom.segmentation import save_dicom_seg
from monai_synthfm.io.volume_files import load_image

pydicom = pytest.importorskip("pydicom", reason="pydicom writes the DICOM series")
pytest.importorskip("highdicom", reason="the extra 'dicomseg' is not installed")

COLUMNS, ROWS, SLICES = 11, 9, 6
ROW_STEP, COLUMN_STEP, STEP = 0.8, 1.1, 2.5
PLANES = {
    "axial": ([1, 0, 0], [0, 1, 0]),
    "coronal": ([1, 0, 0], [0, 0, -1]),
    "sagittal": ([0, 1, 0], [0, 0, -1]),
    "oblique": ([0.8, 0.6, 0], [-0.48, 0.64, 0.6]),
}


def write_series(folder: Path, plane: str) -> None:
    """CT slices of random values whose names and numbers say nothing about their order."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    row, column = (np.array(direction, float) for direction in PLANES[plane])
    rng = np.random.default_rng(0)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for number, place in enumerate(rng.permutation(SLICES)):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = generate_uid()
        image = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.Modality, image.PatientID, image.PatientName, image.PatientBirthDate = "CT", "1", "A^B", ""
        image.PatientSex, image.StudyDate, image.StudyTime, image.AccessionNumber = "O", "20200101", "120000", ""
        image.ReferringPhysicianName, image.StudyID = "", ""
        image.SeriesNumber, image.InstanceNumber = 3, number + 1
        image.ImageOrientationPatient = [*row, *column]
        image.ImagePositionPatient = list(np.array([-20.0, 30.0, 50.0]) + place * STEP * np.cross(row, column))
        image.PixelSpacing, image.SliceThickness = [COLUMN_STEP, ROW_STEP], STEP
        image.Rows, image.Columns, image.SamplesPerPixel = ROWS, COLUMNS, 1
        image.PhotometricInterpretation, image.PixelRepresentation = "MONOCHROME2", 1
        image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
        image.RescaleIntercept, image.RescaleSlope = 0, 1
        image.PixelData = rng.integers(-500, 500, (ROWS, COLUMNS)).astype(np.int16).tobytes()
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)


def places_in(path: Path) -> dict[str, np.ndarray]:
    """LPS+ mm of all pixels of each segment, by label, from the file's own geometry."""
    seg = pydicom.dcmread(path)
    shared = seg.SharedFunctionalGroupsSequence[0]
    along = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    down, right = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    found: dict[str, list[np.ndarray]] = {}
    labels = {int(segment.SegmentNumber): str(segment.SegmentLabel) for segment in seg.SegmentSequence}
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        first = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        # of a single segment, all frames share this
        identified = (groups if "SegmentIdentificationSequence" in groups else shared).SegmentIdentificationSequence
        label = labels[int(identified[0].ReferencedSegmentNumber)]
        rows, columns = np.nonzero(frame)
        here = first + columns[:, None] * right * along[0] + rows[:, None] * down * along[1]
        found.setdefault(label, []).append(here)
    return {label: np.concatenate(parts) for label, parts in found.items()}


@pytest.mark.parametrize("plane", PLANES)
def test_each_voxel_is_found_again_at_its_place(tmp_path: Path, plane: str) -> None:
    (tmp_path / "series").mkdir()
    write_series(tmp_path / "series", plane)
    (tmp_path / "series" / "notes.txt").write_text("not DICOM")
    image = load_image(tmp_path / "series")
    labels = np.random.default_rng(1).choice([0, 0, 0, 1, 3], image.shape[1:]).astype(np.int16)
    affine = np.asarray(image.affine)
    save_dicom_seg(labels, affine, tmp_path / "series", ["liver", "unused", "spleen"], tmp_path / "seg.dcm")
    found = places_in(tmp_path / "seg.dcm")
    assert set(found) == {"liver", "spleen"}
    for number, name in ((1, "liver"), (3, "spleen")):
        ras = np.argwhere(labels == number) @ affine[:3, :3].T + affine[:3, 3]
        expected = np.round(ras * [-1, -1, 1], 2)
        np.testing.assert_array_equal(
            sorted(map(tuple, np.round(found[name], 2) + 0.0)), sorted(map(tuple, expected + 0.0))
        )


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    write_series(tmp_path / "series", "axial")
    image = load_image(tmp_path / "series")
    labels, affine = np.zeros(image.shape[1:], np.int16), np.asarray(image.affine)
    with pytest.raises(ValueError, match="the segmentation is empty"):
        save_dicom_seg(labels, affine, tmp_path / "series", ["a"], tmp_path / "out" / "seg.dcm")
    labels[2:4, 2:4, :] = 1
    (tmp_path / "series" / "2.dcm").unlink()
    with pytest.raises(ValueError, match="show 20 of the 24 labelled voxels"):
        save_dicom_seg(labels, affine, tmp_path / "series", ["a"], tmp_path / "out" / "seg.dcm")
    assert not (tmp_path / "out").exists()

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""CHAOS in miniature: names against z in CT and along z in MR, phases with one UID, greys, a number used twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from tests.replicas.body import hounsfield, organ_masks

SHAPE = (46, 36, 14)
PIXEL, STEP = 4.0, 2.0
GREYS = {"liver": 63, "kidney_right": 126, "kidney_left": 189, "spleen": 252}
CT_IDS, MR_IDS = (1, 16), (1, 2)


def lps_grid(step: float = STEP) -> np.ndarray:
    """RAS+ affine of the stack in order of rising z; columns run to the left and rows to the back."""
    affine = np.diag([-PIXEL, -PIXEL, step, 1.0])
    affine[:3, 3] = [PIXEL * (SHAPE[0] - 1) / 2, PIXEL * (SHAPE[1] - 1) / 2, -6.0]
    return affine


def write_chaos(folder: Path) -> Path:
    """Write the replica and return its root."""
    root = folder / "CHAOS_Train_Sets" / "Train_Sets"
    for seed, number in enumerate(CT_IDS):
        _write_ct(root / "CT" / str(number), seed)
    for seed, number in enumerate(MR_IDS):
        _write_mr(root / "MR" / str(number), seed)
    test = folder / "CHAOS_Test_Sets" / "Test_Sets" / "CT" / "1" / "DICOM_anon"
    test.mkdir(parents=True)
    (test / "i0000,0000b.dcm").write_bytes((root / "CT" / "1" / "DICOM_anon" / "i0000,0000b.dcm").read_bytes())
    return root


def liver(step: float = STEP) -> np.ndarray:
    """Mask of the liver on the grid of the replica."""
    return organ_masks(lps_grid(step), SHAPE, list(GREYS))["liver"]


def _write_ct(folder: Path, seed: int) -> None:
    affine = lps_grid()
    image = hounsfield(affine, SHAPE, seed)
    uid = pydicom.uid.generate_uid(entropy_srcs=[str(folder)])
    for number in range(SHAPE[2]):
        z = SHAPE[2] - 1 - number
        path = folder / "DICOM_anon" / f"i{number:04d},0000b.dcm"
        write_slice(path, image[:, :, z] + 1000, affine, z, uid, number + 1, SliceThickness=3.2, RescaleIntercept=-1000)
        _write_png(folder / "Ground" / f"liver_GT_{number:03d}.png", liver()[:, :, z])


def _write_mr(folder: Path, seed: int) -> None:
    affine = lps_grid(4.0)
    image = hounsfield(affine, SHAPE, seed + 10) + 1000
    label = np.zeros(SHAPE, np.uint8)
    for name, mask in organ_masks(affine, SHAPE, list(GREYS)).items():
        label[mask] = GREYS[name]
    phases, spir = (pydicom.uid.generate_uid(entropy_srcs=[str(folder), kind]) for kind in ("T1", "T2"))
    for z in range(SHAPE[2]):
        t1 = folder / "T1DUAL"
        names = {"InPhase": f"IMG-0004-{2 * (z + 1):05d}", "OutPhase": f"IMG-0004-{2 * z + 1:05d}"}
        for phase, name in names.items():
            echo, scale = (4.6, 1) if phase == "InPhase" else (2.3, 2)
            path = t1 / "DICOM_anon" / phase / f"{name}.dcm"
            write_slice(
                path, image[:, :, z] // scale, affine, z, phases, int(name[-5:]), SliceThickness=5.5, EchoTime=echo
            )
        _write_png(t1 / "Ground" / f"{names['InPhase']}.png", label[:, :, z])
        name = f"IMG-0002-{z + 1:05d}"
        path = folder / "T2SPIR" / "DICOM_anon" / f"{name}.dcm"
        write_slice(path, image[:, :, z] // 3, affine, z, spir, z + 1, SliceThickness=7.0, EchoTime=70)
        _write_png(folder / "T2SPIR" / "Ground" / f"{name}.png", label[:, :, z])


def _write_png(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(values.T)).save(path)


def write_slice(
    path: Path, values: np.ndarray, affine: np.ndarray, z: int, series: str, number: int, **tags: float
) -> None:
    """Write one slice [X, Y] of a stack in RAS+ as an anonymous DICOM file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[str(path)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    item.SOPClassUID, item.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    item.SeriesInstanceUID, item.InstanceNumber, item.Modality = series, number, "OT"
    position = np.diag([-1, -1, 1]) @ (affine[:3, 2] * z + affine[:3, 3])
    item.ImagePositionPatient = [round(float(value), 4) for value in position]
    item.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    item.PixelSpacing = [PIXEL, PIXEL]
    item.Rows, item.Columns = values.shape[1], values.shape[0]
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 16, 15, 0
    item.RescaleSlope, item.RescaleIntercept = 1, 0
    for tag, value in tags.items():
        setattr(item, tag, value)
    item.PixelData = np.ascontiguousarray(values.T.astype(np.uint16)).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    item.save_as(path, enforce_file_format=True)

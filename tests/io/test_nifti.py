# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_synthfm.io.nifti import label_image, load_volume, probability_image

AFFINE = np.array([[0.0, -2.0, 0.1, 5.0], [1.5, 0.0, 0.0, -7.0], [0.0, 0.0, 4.0, 3.0], [0.0, 0.0, 0.0, 1.0]])


def voxels(shape: tuple[int, ...], dtype: type = np.int16) -> np.ndarray:
    return np.random.default_rng(0).integers(-500, 500, shape).astype(dtype)


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_volume_is_read_as_stored(tmp_path: Path, dtype: type, suffix: str) -> None:
    array = voxels((4, 5, 6), dtype)
    volume = load_volume(save(tmp_path / f"a{suffix}", array))
    np.testing.assert_array_equal(volume[0].numpy(), array.astype(np.float32))
    assert volume.dtype == torch.float32
    np.testing.assert_allclose(volume.affine, AFFINE)
    np.testing.assert_allclose(volume.meta["original_affine"], AFFINE)
    assert volume.meta["filename_or_obj"] == str(tmp_path / f"a{suffix}")


def test_intensity_scaling_is_applied(tmp_path: Path) -> None:
    image = nib.Nifti1Image(voxels((4, 5, 6)), AFFINE)
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, tmp_path / "a.nii.gz")
    stored = np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj.get_unscaled())
    np.testing.assert_allclose(load_volume(tmp_path / "a.nii.gz")[0].numpy(), stored * 0.5 - 3, atol=1e-3)


@pytest.mark.parametrize(("shape", "found"), [((4, 5), (4, 5, 1)), ((4, 5, 1), (4, 5, 1)), ((4, 5, 3, 1), (4, 5, 3))])
def test_single_slices_and_trailing_ones_become_volumes(
    tmp_path: Path, shape: tuple[int, ...], found: tuple[int, ...]
) -> None:
    array = voxels(shape)
    volume = load_volume(save(tmp_path / "a.nii", array))
    assert tuple(volume.shape) == (1, *found)
    np.testing.assert_array_equal(volume[0].numpy().reshape(shape), array)


def test_missing_third_axis_of_a_2d_file_is_completed(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[:3, 2] = 0
    image = nib.Nifti1Image(voxels((4, 5)), None)
    image.header.set_sform(affine, code=1)
    nib.save(image, tmp_path / "a.nii")
    found = load_volume(tmp_path / "a.nii").affine.numpy()
    np.testing.assert_allclose(found[:, [0, 1, 3]], affine[:, [0, 1, 3]])
    np.testing.assert_allclose(found[:3, 2], [0, 0, 1])


def bad_files() -> dict[str, object]:
    def nan(path: Path) -> None:
        array = voxels((4, 5, 6), np.float32)
        array[0, 0, :2] = np.nan
        save(path, array)

    def cut(path: Path) -> None:
        save(path, voxels((40, 50, 6)))
        path.write_bytes(path.read_bytes()[:5000])

    def singular(path: Path) -> None:
        image = nib.Nifti1Image(voxels((4, 5, 6)), None)
        image.header.set_sform(np.zeros((4, 4)), code=1)
        nib.save(image, path)

    def colour(path: Path) -> None:
        save(path, np.zeros((4, 5, 6), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]))

    return {
        "4d.nii.gz": (lambda p: save(p, voxels((4, 5, 6, 2))), "expected 2 or 3 dimensions, found shape (4, 5, 6, 2)."),
        "1d.nii.gz": (lambda p: save(p, voxels((4,))), "expected 2 or 3 dimensions, found shape (4,)."),
        "none.nii.gz": (lambda p: save(p, voxels((4, 0, 6))), "no voxels, its shape is (4, 0, 6)."),
        "nan.nii.gz": (nan, "2 of 120 voxels are NaN or infinite."),
        "flat.nii.gz": (
            lambda p: save(p, np.full((4, 5, 6), 7, np.int16)),
            "nothing to segment, every voxel is 7.",
        ),
        "cut.nii": (cut, "the voxels are truncated or damaged ("),
        "cut.nii.gz": (cut, "the voxels are truncated or damaged ("),
        "zero.nii": (lambda p: p.write_bytes(b""), "not a readable NIfTI file ("),
        "text.nii": (lambda p: p.write_text("hello " * 100), "not a readable NIfTI file ("),
        "text.nii.gz": (lambda p: p.write_text("hello " * 100), "not a readable NIfTI file ("),
        "noise.nii.gz": (lambda p: p.write_bytes(gzip.compress(b"x" * 400)), "not a readable NIfTI file ("),
        "other.mgz": (
            lambda p: nib.save(nib.MGHImage(voxels((4, 5, 6)), AFFINE), p),
            "expected a NIfTI file (.nii or .nii.gz), found MGHImage.",
        ),
        "singular.nii": (singular, "its affine cannot be inverted: [[0.0, 0.0, 0.0, 0.0]"),
        "colour.nii": (colour, "expected real numbers, found voxels of type "),
        "complex.nii": (
            lambda p: save(p, voxels((4, 5, 6)).astype(np.complex64)),
            "expected real numbers, found voxels of type complex64.",
        ),
    }


@pytest.mark.parametrize("name", bad_files())
def test_bad_file_gives_one_message_that_names_it(tmp_path: Path, name: str) -> None:
    make, message = bad_files()[name]  # type: ignore[misc]
    make(tmp_path / name)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        load_volume(tmp_path / name)
    assert str(caught.value).startswith(f"image {tmp_path / name}: {message}")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"image .*nowhere\.nii: no such file\."):
        load_volume(tmp_path / "nowhere.nii")


def template(path: Path, image_class: type, dtype: type, codes: tuple[int, int], big_endian: bool) -> Path:
    """A file whose header holds something in every field that tells files apart."""
    header = image_class.header_class(endianness=">" if big_endian else "<")
    header.set_data_dtype(np.dtype(dtype).newbyteorder(">" if big_endian else "<"))
    header.set_data_shape((4, 5, 6))
    rigid = AFFINE.copy()
    rigid[:3, 2] = [0, 0, 4]
    header.set_qform(rigid, code=codes[0])
    header.set_sform(AFFINE if codes[1] else None, code=codes[1])
    header.set_xyzt_units("micron", "sec")
    header["descrip"] = b"scanner 7"
    header["cal_max"] = 300
    image = image_class(voxels((4, 5, 6), dtype), None, header)
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"a comment"))
    if np.issubdtype(dtype, np.integer):
        image.header.set_slope_inter(0.25, 10)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("codes", [(1, 0), (0, 2), (1, 4), (0, 0)])
@pytest.mark.parametrize(
    ("image_class", "dtype", "big_endian"),
    [
        (nib.Nifti1Image, np.int16, False),
        (nib.Nifti1Image, np.float32, False),
        (nib.Nifti1Image, np.int16, True),
        (nib.Nifti2Image, np.float64, False),
    ],
)
def test_label_image_keeps_every_header_field_but_those_of_the_values(
    tmp_path: Path, image_class: type, dtype: type, big_endian: bool, codes: tuple[int, int]
) -> None:
    source = template(tmp_path / "in.nii.gz", image_class, dtype, codes, big_endian)
    labels = np.random.default_rng(1).integers(0, 4, (4, 5, 6)).astype(np.uint8)
    nib.save(label_image(labels, source), tmp_path / "out.nii.gz")

    before, after = nib.load(source), nib.load(tmp_path / "out.nii.gz")
    assert type(after) is type(before)
    changed = {k for k in before.header if before.header[k].tobytes() != after.header[k].tobytes()}
    assert changed <= {"datatype", "bitpix", "cal_max"}
    np.testing.assert_array_equal(after.affine, before.affine)
    np.testing.assert_array_equal(np.asarray(after.dataobj), labels)
    assert after.get_data_dtype() == np.uint8
    assert after.dataobj.slope == 1
    assert after.dataobj.inter == 0
    assert after.header.extensions[0].get_content() == before.header.extensions[0].get_content()


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3, 1)])
def test_label_image_has_exactly_the_shape_of_the_file(tmp_path: Path, shape: tuple[int, ...]) -> None:
    source = save(tmp_path / "a.nii", voxels(shape))
    labels = np.random.default_rng(1).integers(0, 300, (*shape, 1)[:3]).astype(np.uint16)
    image = label_image(labels, source)
    assert image.shape == shape
    np.testing.assert_array_equal(np.asarray(image.dataobj).reshape(labels.shape), labels)


def test_label_image_of_another_size_is_refused(tmp_path: Path) -> None:
    source = save(tmp_path / "a.nii", voxels((4, 5, 6)))
    with pytest.raises(ValueError, match=r"labels: expected the shape \(4, 5, 6\) of .*, got \(4, 5, 5\)"):
        label_image(np.zeros((4, 5, 5), np.uint8), source)


def test_probabilities_of_many_objects_are_made_one_after_the_other() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (40, 24, 25, 26)).astype(np.float16)
    template = nib.Nifti1Image(np.zeros(logits.shape[1:], np.uint8), np.eye(4))
    tracemalloc.start()
    image = probability_image(logits, template)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert image.shape == (*logits.shape[1:], 40)
    assert peak < 1.7 * logits.size  # one byte each, and some float32 of one object

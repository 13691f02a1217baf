# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Files that are saved and loaded again, and files that are something else."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_synthfm.viewer.files import load_label_map, load_prompts, nifti_file, prompts_file, seg_file

from .served import SECOND, SECOND_RADII, Served, click, ellipsoid, in_file


@pytest.mark.parametrize("path", ["/api/load/prompts", "/api/load/labels"])
@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\x1f\x8b broken", b"PK\x05\x06" + bytes(18), b"\x00" * 400, b"[[[1,2]]]"]
)
def test_files_that_are_something_else_are_refused(served: Served, path: str, content: bytes) -> None:
    status, said, _ = served.request("POST", path, content)
    assert status == 422, said
    assert str(served.state.file.parent) not in said["detail"]
    assert served.state.session.interactions == ()


def test_archives_that_unpack_to_too_much_are_refused(served: Served) -> None:
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("prompts.json", "{}")
        packed.writestr("prompts_mask.nii.gz", bytes(2**25))
    status, said, _ = served.request("POST", "/api/load/prompts", archive.getvalue())
    assert status == 422
    assert said["detail"].startswith("prompts_mask.nii.gz is larger than")


def test_saved_files_hold_the_label_map_and_prompts_that_bring_it_again(served: Served, tmp_path: Path) -> None:
    state = served.state
    assert served.request("POST", "/api/points", click())[0] == 200
    state.resize(1, "larger")  # a mask that was chosen, which JSON alone cannot say
    state.carry("none", None)
    before = served.labels.copy()
    assert before.any()
    name, content = nifti_file(state)
    assert name == "in_segmentation.nii.gz"
    (tmp_path / name).write_bytes(content)
    written = nib.load(tmp_path / name)
    np.testing.assert_array_equal(np.asarray(written.dataobj), before)
    np.testing.assert_array_equal(written.affine, nib.load(state.image).affine)

    name, content = prompts_file(state)
    assert name == "in_prompts.zip"
    with zipfile.ZipFile(BytesIO(content)) as packed:
        assert sorted(packed.namelist()) == ["prompts.json", "prompts_mask.nii.gz"]
        arguments = json.loads(packed.read("prompts.json"))
    assert arguments["image"] == str(state.image.resolve())
    while state.session.history.can_undo:
        state.undo()
    assert not served.labels.any()
    assert load_prompts(state, content) == ("none", None)
    np.testing.assert_array_equal(served.labels, before)
    with pytest.raises(ValueError, match="name a mask: load the zip archive"):
        load_prompts(state, json.dumps(arguments).encode())


def test_a_label_map_brings_its_objects(served: Served) -> None:
    known = in_file(ellipsoid() + 2 * ellipsoid(SECOND, SECOND_RADII)).astype(np.uint8)
    image = nib.Nifti1Image(known, served.state.affine)
    load_label_map(served.state, image.to_bytes())
    np.testing.assert_array_equal(served.labels, known)
    assert [info.name for info in served.state.objects.infos] == ["object 1", "object 2"]
    with pytest.raises(ValueError, match="shows no object"):
        load_label_map(served.state, nib.Nifti1Image(np.zeros_like(known), served.state.affine).to_bytes())
    np.testing.assert_array_equal(served.labels, known)


def test_a_volume_that_is_no_dicom_series_is_not_saved_as_seg(served: Served) -> None:
    with pytest.raises(ValueError, match=r"in\.nii\.gz is no DICOM series: save the segmentation as NIfTI"):
        seg_file(served.state)

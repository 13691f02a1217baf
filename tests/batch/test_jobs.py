# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from monai.transforms import Compose, Orientationd

from monai_synthfm.batch.jobs import content_sha256, describe_settings, places_of, request_sha256
from monai_synthfm.inferers import VolumeInferer
from monai_synthfm.transforms import MedSAMIntensityd


def test_voxels_beside_a_header_belong_to_the_image(tmp_path: Path) -> None:
    (tmp_path / "a.mhd").write_text("ElementDataFile = a.raw")
    (tmp_path / "a.raw").write_bytes(b"1")
    (tmp_path / "b.raw").write_bytes(b"1")
    before = content_sha256(tmp_path / "a.mhd")
    (tmp_path / "b.raw").write_bytes(b"2")
    assert content_sha256(tmp_path / "a.mhd") == before
    (tmp_path / "a.raw").write_bytes(b"2")
    assert content_sha256(tmp_path / "a.mhd") != before


def test_all_files_of_a_folder_count(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "1.dcm").write_bytes(b"1")
    before = content_sha256(tmp_path / "series")
    (tmp_path / "series" / "2.dcm").write_bytes(b"2")
    assert content_sha256(tmp_path / "series") != before
    with pytest.raises(FileNotFoundError, match=r"image .*gone: no such file or folder"):
        content_sha256(tmp_path / "gone")


@pytest.mark.parametrize("change", [{"points": [[[1, 1, 2]]]}, {"modality": "mr"}, {"mask": "m.nii"}, {"series": 2}])
def test_a_request_is_what_is_asked(change: dict, tmp_path: Path) -> None:
    for name in ("a.nii", "m.nii"):
        (tmp_path / name).write_bytes(name.encode())
    case = {"image": "a.nii", "points": [[[1, 1, 1]]], "point_labels": [[1]], "objects": ["1"], "rows": [1]}
    first = request_sha256(case, tmp_path, {"network": 1})
    assert request_sha256({**case, "objects": ["liver"], "rows": [7]}, tmp_path, {"network": 1}) == first
    assert request_sha256({**case, **change}, tmp_path, {"network": 1}) != first
    assert request_sha256(case, tmp_path, {"network": 2}) != first


def test_places_stay_below_the_output_and_apart(tmp_path: Path) -> None:
    images = ["x/ct.nii", "../out/ct.nii", "/data/ct.nii"]
    places = places_of([{"image": image} for image in images], tmp_path / "root")
    assert places == [Path("x"), tmp_path.relative_to("/") / "out", Path("data")]
    series = [{"image": "dicom", "series": number} for number in (3, "../4")]
    assert places_of(series, tmp_path) == [Path("dicom/3"), Path("dicom/..%2F4")]
    with pytest.raises(ValueError, match=r"images a/ct\.nii and a/ct\.nii\.gz would both be written as a/ct:"):
        places_of([{"image": "a/ct.nii"}, {"image": "a/ct.nii.gz"}], tmp_path)


def test_settings_tell_transforms_and_inferers_apart() -> None:
    def described(**options: object) -> object:
        transforms = [Orientationd(keys="image", axcodes="LPI", labels=None), MedSAMIntensityd(keys="image", **options)]
        return describe_settings(Compose(transforms))

    assert described() == described()
    assert described() != described(modality="mr")
    assert described() != described(level=100.0, width=300.0)
    assert describe_settings(VolumeInferer()) == describe_settings(VolumeInferer())
    assert describe_settings(VolumeInferer()) != describe_settings(VolumeInferer(keep_largest=True))

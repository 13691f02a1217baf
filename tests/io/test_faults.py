# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Faults and findings: what people and machines read of them."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_synthfm.io.faults import Fault, FaultError, Finding, unreadable

FAULT = Fault("chaos_mr", "mr12", "training", "shape_mismatch", "mr12/ground.png", "5 x 5 pixels, expected 6 x 6")


def test_a_fault_of_the_whole_set_says_so() -> None:
    fault = Fault("hc18", None, None, "no_metadata", "pixel_size.csv", "no such file")
    assert str(fault) == "hc18 (whole set): no_metadata: pixel_size.csv: no such file"


@pytest.mark.parametrize("notice", [False, True])
def test_the_record_of_a_fault_makes_it_again_from_json(notice: bool) -> None:
    fault = Fault("amos_ct", None, None, "excluded", "amos_0001", "by the user", notice)
    assert Fault(**json.loads(json.dumps(fault.record()))) == fault
    assert list(FAULT.record()) == ["dataset", "case_id", "split", "code", "file", "message", "notice"]


def test_faults_are_values_that_sets_tell_apart() -> None:
    same, other = Fault(**FAULT.record()), Fault(**{**FAULT.record(), "case_id": "mr13"})
    assert len({FAULT, same, other}) == 2
    with pytest.raises(FrozenInstanceError):
        same.code = "unreadable"  # type: ignore[misc]


def test_an_error_is_a_value_error_that_says_code_file_and_message() -> None:
    with pytest.raises(ValueError, match=r"^unreadable: scans/1\.nii: cut short$") as caught:
        raise FaultError("unreadable", Path("scans") / "1.nii", "cut short")
    assert (caught.value.code, caught.value.file, caught.value.message) == ("unreadable", "scans/1.nii", "cut short")


def test_an_error_survives_the_way_from_a_worker_process() -> None:
    error = pickle.loads(pickle.dumps(FaultError("unreadable", Path("1.nii"), "cut short")))
    assert type(error) is FaultError
    assert (error.code, error.file, str(error)) == ("unreadable", "1.nii", "unreadable: 1.nii: cut short")


numbers = st.floats(-1e6, 1e6)


@given(numbers, numbers, numbers)
def test_a_finding_is_plausible_from_its_lowest_to_its_highest_number(a: float, b: float, c: float) -> None:
    low, value, high = sorted((a, b, c))
    assert Finding("mm", value, low, high).plausible
    assert Finding("mm", low, low, high).plausible
    assert Finding("mm", high, low, high).plausible
    assert not Finding("mm", math.nextafter(high, math.inf), low, high).plausible
    assert not Finding("mm", math.nextafter(low, -math.inf), low, high).plausible


def test_a_range_is_open_unless_told_and_never_holds_what_is_no_number() -> None:
    assert Finding("mm", -1e300, high=0).plausible
    assert Finding("mm", 1e300, low=0).plausible
    assert not Finding("mm", math.nan).plausible
    assert str(Finding("share of dark voxels", 0.123456, high=0.5)) == (
        "share of dark voxels is 0.1235, expected -inf to 0.5"
    )


def test_what_a_file_is_says_more_than_what_a_library_made_of_it(tmp_path: Path) -> None:
    error = RuntimeError("no image")
    path = tmp_path / "a.mha"
    assert unreadable(path, "not whole", error).message == "no such file"
    path.symlink_to("/annex/7")
    assert unreadable(path, "not whole", error).message == "a link to /annex/7, which is not there; fetch it first"
    path.unlink()
    path.touch()
    assert unreadable(path, "not whole", error).message == "an empty file (0 bytes)"
    path.unlink()
    path.mkdir()
    assert unreadable(path, "not whole", error).message == "expected a file, found a folder"


def test_the_last_line_of_a_library_is_kept_without_folders_addresses_and_what_the_system_said(tmp_path: Path) -> None:
    path = tmp_path / "a.mha"
    path.write_bytes(b"text")
    error = RuntimeError(
        f"Exception in f.cxx:\nITK ERROR: MetaImageIO(0x12ab): cannot read {path}.\nReason: No such file\n"
    )
    fault = unreadable(path, "not whole", error)
    assert (fault.code, fault.message) == ("unreadable", "not whole (ITK ERROR: MetaImageIO: cannot read a.mha)")
    assert unreadable(path, "not whole", EOFError()).message == "not whole (EOFError)"

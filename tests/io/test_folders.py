# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of finding files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_synthfm.io.faults import FaultError
from monai_synthfm.io.folders import entries, file_of_stem, files_by_stem, find_root, natural_key, read_rows


@given(st.lists(st.integers(0, 10**6), unique=True), st.integers(1, 9))
def test_numbers_sort_alike_with_and_without_zeros(numbers: list[int], width: int) -> None:
    for names in ([f"s{n}_a.png" for n in numbers], [f"s{n:0{width}d}_a.png" for n in numbers]):
        ordered = sorted(names, key=natural_key)
        assert [int(name[1:-6]) for name in ordered] == sorted(numbers)


@given(st.lists(st.text(min_size=1, max_size=8), min_size=2))
def test_any_names_can_be_sorted_and_only_zeros_make_them_equal(names: list[str]) -> None:
    keys = {name.rpartition("/")[2]: natural_key(name) for name in names}
    assert len(sorted(keys.values())) == len(keys)
    plain = [name for name in keys if not any(character.isdecimal() for character in name)]
    assert len({keys[name] for name in plain}) == len(plain)


def test_stems_lose_the_ending_and_the_suffix_and_must_be_unique(tmp_path: Path) -> None:
    for name in ("b_0000.nii.gz", "a.nii", "notes.txt", ".a.nii", "Thumbs.db"):
        (tmp_path / name).touch()
    assert list(files_by_stem(tmp_path, (".nii.gz", ".nii"), drop="_0000")) == ["a", "b"]
    assert files_by_stem(tmp_path / "nowhere", (".nii",)) == {}
    (tmp_path / "a.nii.gz").touch()
    with pytest.raises(FaultError, match="the same case as a"):
        files_by_stem(tmp_path, (".nii.gz", ".nii"))
    twice: dict[str, FaultError] = {}
    assert list(files_by_stem(tmp_path, (".nii.gz", ".nii"), twice=twice)) == ["a", "b_0000"]
    assert list(twice) == ["a"]


def test_one_file_of_a_stem_is_found_by_any_ending_in_any_case(tmp_path: Path) -> None:
    for name in ("ct.NII.GZ", "CT_1.nii", "ct.txt", "ct_seg.nii"):
        (tmp_path / name).touch()
    assert file_of_stem(tmp_path, "ct", (".nii.gz", ".nii"), "missing_image").name == "ct.NII.GZ"
    with pytest.raises(FaultError, match=r"^missing_label: .*mr\.nii\.gz: no such file, nor with \('\.nii',\)$"):
        file_of_stem(tmp_path, "mr", (".nii.gz", ".nii"), "missing_label")
    (tmp_path / "ct.nii").touch()
    with pytest.raises(FaultError, match=r"^duplicate: .*the same case as ct\.NII\.GZ"):
        file_of_stem(tmp_path, "ct", (".nii.gz", ".nii"), "missing_image")
    with pytest.raises(FaultError, match="missing_image"):
        file_of_stem(tmp_path / "nowhere", "ct", (".nii",), "missing_image")


def test_root_is_the_nearest_of_four_levels(tmp_path: Path) -> None:
    def is_root(folder: Path) -> bool:
        return (folder / "marker").exists()

    deep = tmp_path / "1/2/3/4"
    (deep / "5").mkdir(parents=True)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "marker").touch()
    (deep / "5" / "marker").touch()
    with pytest.raises(FileNotFoundError, match="expected a marker in it or at most 4 levels below"):
        find_root(tmp_path, is_root, "a marker")
    (deep / "marker").touch()
    assert find_root(tmp_path, is_root, "a marker") == deep


def test_tables_lose_byte_order_marks_and_blanks(tmp_path: Path) -> None:
    path = tmp_path / "meta.csv"
    path.write_text("id ; split\ns1; train \ns2\n", encoding="utf-8-sig")
    assert read_rows(path, ";") == [{"id": "s1", "split": "train"}, {"id": "s2", "split": ""}]
    for content in (b"", b"\xff\xfe\x00"):
        path.write_bytes(content)
        with pytest.raises(FaultError, match="unreadable"):
            read_rows(path)
    assert entries(tmp_path) == [path]

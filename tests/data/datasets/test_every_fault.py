# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What every reader makes of wrong folders, broken files and odd names: a sentence that names it, or the same cases."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from PIL import Image

pytest.importorskip("pydicom", reason="pydicom writes the DICOM slices of a replica")
from monai_synthfm.data.datasets.base import Case, LabelledDataset
from monai_synthfm.data.datasets.checks import check_data
from monai_synthfm.data.datasets.registry import DATASETS
from tests.replicas.every import REPLICAS
from tests.replicas.indexed import write_indexed

OPTIONS: dict[str, dict[str, Any]] = {"folder": {"structures": {"spleen": 1, "liver": 5, "stomach": 9}}}
ENDINGS = (".nii.gz", ".nii", ".mha", ".nrrd", ".png", ".dcm")
SAME_TREE = {"fh_ps_aop": {"psfhs"}, "psfhs": {"fh_ps_aop"}}
"""Sets that cannot be told apart by their trees."""
MAPPED = {"development", "hc18"}
"""Whose masks may hold other values than those that are looked for."""
CROWDED = {"amos_ct": ["amos_mr"], "chaos_ct": ["chaos_mr", "chaos_mr_t1in", "chaos_mr_t1out", "chaos_mr_t2"]}
"""Names that read the same files as another; one of them stands for all."""
NAMES = sorted({*REPLICAS, "folder"} - {name for names in CROWDED.values() for name in names} | {"chaos_mr"})


def write_folder(folder: Path) -> Path:
    """Three pairs of volumes in the layout of the dataset ``folder``."""
    source = write_indexed(folder / "source")
    for number in range(3):
        for part, name in (("images", "ct1.nii.gz"), ("labels", "ct1_mask.nii.gz")):
            (folder / "mine" / part).mkdir(parents=True, exist_ok=True)
            shutil.copy(source / "ct" / name, folder / "mine" / part / f"c{number}.nii.gz")
    shutil.rmtree(folder / "source")
    return folder / "mine"


WRITERS: dict[str, Callable[[Path], Path]] = {**REPLICAS, "folder": write_folder}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """A replica of each set, with its root."""
    base = tmp_path_factory.mktemp("originals")
    return {name: (base / name, WRITERS[name](base / name)) for name in NAMES}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def root(name: str, originals: dict[str, tuple[Path, Path]], tmp_path: Path) -> Path:
    """A copy to break."""
    folder, found = originals[name]
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy" / found.relative_to(folder)


def opened(name: str, root: Path) -> LabelledDataset:
    return DATASETS[name](root, **OPTIONS.get(name, {}))


def report_on(name: str, root: Path) -> dict[str, Any]:
    return check_data(name, root, progress=False, options=OPTIONS.get(name))


def case_ids(dataset: LabelledDataset) -> list[str]:
    return [case["case_id"] for case in dataset.data]


def a_file(case: Case, key: str) -> Path:
    """The middle one of the files of a case."""
    value = case[key]
    files = [value] if isinstance(value, str) else [*value.values()] if isinstance(value, dict) else value
    return Path(files[len(files) // 2])


def is_one_sentence(message: str) -> bool:
    return "\n" not in message and "Traceback" not in message and re.search(r"\b0x[0-9a-f]{6,}", message) is None


def put_an_archive(folder: Path) -> Path:
    (folder / "data.zip").write_bytes(b"PK")
    return folder / "data.zip"


def put_something_else(folder: Path) -> Path:
    (folder / "holiday").mkdir()
    (folder / "holiday" / "beach.png").touch()
    return folder


WRONG_ROOTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "nowhere", "no such folder"),
    "empty": (lambda folder: folder, "found nothing"),
    "archive": (put_an_archive, "a file"),
    "other": (put_something_else, "found holiday/"),
}


@pytest.mark.parametrize("kind", WRONG_ROOTS)
def test_a_wrong_root_is_named_with_what_was_looked_for_and_found(name: str, kind: str, tmp_path: Path) -> None:
    make, message = WRONG_ROOTS[kind]
    given = make(tmp_path)
    with pytest.raises(FileNotFoundError, match=re.escape(message)) as caught:
        opened(name, given)
    assert is_one_sentence(str(caught.value))
    assert str(given) in str(caught.value)
    assert report_on(name, given)["faults"][0]["code"] == "not_found"


def test_the_root_of_another_dataset_is_refused(name: str, originals: dict[str, tuple[Path, Path]]) -> None:
    for other in set(NAMES) - {name} - SAME_TREE.get(name, set()):
        # CAMUS stands for its half sequences, CHAOS and TotalSegmentator keep both modalities apart
        if originals[other][1].name == originals[name][1].name:
            continue
        with pytest.raises((FileNotFoundError, ValueError)) as caught:
            opened(name, originals[other][1])
        assert is_one_sentence(str(caught.value))


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"<html>404 not found</html>" * 40),
    "missing": lambda path: path.unlink(),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "link": lambda path: (path.unlink(), path.symlink_to("/annex/not/fetched")),
}


@pytest.mark.parametrize("key", ["image", "label"])
def test_a_broken_file_is_the_fault_of_its_case_alone(name: str, key: str, root: Path) -> None:
    case = opened(name, root).data[0]
    path, others = a_file(case, key), case_ids(opened(name, root))[1:]
    whole = path.read_bytes()
    for kind, damage in DAMAGES.items():
        damage(path)
        report = report_on(name, root)
        told = [fault for fault in report["faults"] + report["notices"] if fault["case_id"] == case["case_id"]]
        assert told, kind
        assert all(is_one_sentence(fault["message"]) for fault in told), (kind, told)
        assert kind not in ("cut", "text", "empty") or told[0]["code"] in ("unreadable", "unknown_format"), told
        assert {fault["case_id"] for fault in report["faults"]} <= {case["case_id"]}, (kind, report["faults"])
        assert sum(report["found"].values()) == len(others), kind
        if kind in ("cut", "empty", "text"):
            assert [Path(fault["file"]).name for fault in told] == [path.name], kind
            assert str(path.parent) not in told[0]["message"]
        if kind == "empty":
            assert told[0]["message"] == "an empty file (0 bytes)" or path.suffix == ".dcm"
        if kind == "link" and told[0]["code"] == "missing_file":
            assert "a link to /annex/not/fetched" in told[0]["message"] or path.suffix == ".dcm"
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        path.write_bytes(whole)
    assert case_ids(opened(name, root)) == [case["case_id"], *others]


def change_label(path: Path, change: str) -> None:
    """Write a label file again with one voxel of 99, one row less, or 7 mm to the side."""
    if path.name.endswith(".nii.gz"):
        stored = nib.load(path)
        values, affine = np.asarray(stored.dataobj).copy(), stored.affine.copy()
    elif path.suffix == ".mha":
        values, affine = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))), np.eye(4)
    else:
        values, affine = np.array(Image.open(path)), np.eye(4)
        values = values.astype(np.uint8) if change == "value" else values
    if change == "value":
        values[0, 0] = 99
    elif change == "shape":
        values = values[:-1]
    else:
        affine[0, 3] += 7
    if path.name.endswith(".nii.gz"):
        nib.save(nib.Nifti1Image(values, affine), path)
    elif path.suffix == ".mha":
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(path))
    else:
        Image.fromarray(values).save(path)


@pytest.mark.parametrize(
    ("change", "code"),
    [("value", "unexpected_label"), ("shape", "shape_mismatch"), ("affine", "affine_mismatch")],
)
def test_a_label_map_that_does_not_fit_is_told_by_what_was_found(name: str, change: str, code: str, root: Path) -> None:
    case = opened(name, root).data[0]
    path = a_file(case, "label")
    if change == "affine" and (not path.name.endswith(".nii.gz") or name.startswith("camus")):
        pytest.skip("label maps without a place of their own")
    if change == "value" and name in MAPPED:
        pytest.skip("masks of this set may hold other values")
    change_label(path, change)
    (fault,) = [fault for fault in report_on(name, root)["faults"] if fault["case_id"] == case["case_id"]]
    assert (fault["code"], Path(fault["file"]).name) == (code, path.name)
    assert "99" in fault["message"] or change != "value"


def in_capitals(root: Path) -> None:
    table = root / "index.csv"
    for path in [path for path in root.rglob("*") if path.is_file()]:
        ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), "")
        if ending:
            path.rename(path.with_name(path.name.removesuffix(ending) + ending.upper()))
    if table.is_file():
        table.write_text(re.sub(r"\.(nii\.gz|nrrd|mha|png)(?=,)", lambda match: match[0].upper(), table.read_text()))


def as_links(root: Path) -> None:
    """Files become links to files named by numbers, as git-annex and caches keep them."""
    store = root.parent / "store"
    store.mkdir()
    for number, path in enumerate(sorted(path for path in root.rglob("*") if path.is_file())):
        path.rename(store / f"{number:04d}")
        path.symlink_to(store / f"{number:04d}")


def with_what_systems_leave(root: Path) -> None:
    for folder in {path.parent for path in root.rglob("*") if path.is_file()}:
        for other in (".DS_Store", "Thumbs.db", "._c1.nii.gz", "._a.dcm", "._a.png", "._a.mha"):
            (folder / other).write_bytes(b"\0")


ODD_NAMES = {"capitals": in_capitals, "links": as_links, "leftovers": with_what_systems_leave}


@pytest.mark.parametrize("kind", ODD_NAMES)
def test_odd_names_and_links_change_nothing(name: str, kind: str, root: Path) -> None:
    before = report_on(name, root)
    ids = case_ids(opened(name, root))
    ODD_NAMES[kind](root)
    after = report_on(name, root)
    assert case_ids(opened(name, root)) == ids
    for part in ("found", "sane", "faults", "structures", "findings"):
        assert after[part] == before[part]
    assert len(after["notices"]) == len(before["notices"])


def test_roots_with_blanks_and_letters_of_all_languages_and_links_to_roots_are_read(
    name: str, root: Path, tmp_path: Path
) -> None:
    before = report_on(name, root)
    os.symlink(root, tmp_path / "link")
    odd = tmp_path / "Zürich 肝 ß's" / "data #1"
    odd.parent.mkdir()
    shutil.copytree(tmp_path / "copy", odd)
    for given in (tmp_path / "link", odd / root.relative_to(tmp_path / "copy")):
        after = report_on(name, given)
        assert {key: after[key] for key in ("found", "sane", "findings")} == {
            key: before[key] for key in ("found", "sane", "findings")
        }, given


def test_two_files_of_one_name_are_the_fault_of_their_case_alone(name: str, root: Path) -> None:
    if name == "development":
        pytest.skip("its table names the files with their endings")
    case = opened(name, root).data[0]
    path = a_file(case, "image")
    ending = next(ending for ending in ENDINGS if path.name.endswith(ending))
    other = ".nii" if ending == ".nii.gz" else ending.upper()
    shutil.copy(path, path.with_name(path.name.removesuffix(ending) + other))
    report = report_on(name, root)
    (fault,) = report["faults"]
    assert (fault["code"], fault["case_id"]) == ("duplicate", case["case_id"])
    assert sum(report["found"].values()) == len(
        case_ids(DATASETS[name](root, on_fault="skip", **OPTIONS.get(name, {})))
    )

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of the report on a download and of the command that makes it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from monai_synthfm.data.datasets.checks import check_data, describe_report
from monai_synthfm.io.faults import Fault
from tests.replicas.amos import write_amos
from tests.replicas.totalsegmentator import write_ct


def test_report_is_printed_and_written_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_amos(tmp_path)
    report = check_data("amos_ct", tmp_path, output_dir=tmp_path / "out", progress=False)
    assert json.loads((tmp_path / "out" / "check_amos_ct.json").read_text()) == report
    printed = capsys.readouterr().out
    assert "training: 1 usable of 200" in printed
    assert "liver 2" in printed
    assert printed.endswith(f"partial, sane\nreport: {tmp_path / 'out' / 'check_amos_ct.json'}\n")


def test_a_report_in_words_has_counts_ranges_and_the_first_faults() -> None:
    faults = [Fault("set", f"case{n}", None, "empty", f"{n}.png", "no pixels").record() for n in range(23)]
    report = {
        "dataset": "set",
        "root": "/data",
        "status": "partial",
        "sane": False,
        "found": {"training": 3},
        "expected": {"training": 5, "test": 2},
        "structures": {"liver": 3, "spleen": 1},
        "findings": {"largest value": {"min": 1.0, "median": 2.5, "max": 1234.56}},
        "faults": faults,
        "notices": [],
    }
    first, *lines, last = describe_report(report).splitlines()
    assert first == "set in /data"
    assert lines[:4] == [
        "  training: 3 usable of 5",
        "  test: 0 usable of 2",
        "  present in: liver 3, spleen 1",
        "  largest value: 1 .. 2.5 .. 1235",
    ]
    shown = lines[4:-1]
    assert shown == [f"  fault: {Fault(**record)}" for record in faults[: len(shown)]]
    assert lines[-1] == f"  ... and {23 - len(shown)} more faults"
    assert last == "partial, 23 faults"


def test_missing_download_is_a_fault_in_a_report(tmp_path: Path) -> None:
    report = check_data("hc18", tmp_path, progress=False)
    assert not report["sane"]
    assert report["faults"][0]["code"] == "not_found"
    with pytest.raises(ValueError, match="is not one of alfi, amos_ct"):
        check_data("amos", tmp_path)


def test_a_download_of_faults_alone_is_reported_with_all_of_them(tmp_path: Path) -> None:
    root = write_amos(tmp_path)
    for path in root.rglob("labels*/*"):
        path.write_bytes(b"")
    report = check_data("amos_mr", tmp_path, progress=False)
    assert not report["sane"]
    assert len(report["faults"]) > 1


def test_partial_download_is_a_fault_only_on_request(tmp_path: Path) -> None:
    write_amos(tmp_path)
    report = check_data("amos_mr", tmp_path, require_complete=True, progress=False)
    assert [fault["code"] for fault in report["faults"]] == ["partial"]
    with pytest.raises(SystemExit) as ended:
        check_data("amos_mr", tmp_path, require_complete=True, exit_on_fault=True, progress=False)
    assert ended.value.code == 1


def test_download_is_complete_when_all_splits_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_ct(tmp_path)
    sizes = {"ct": {"training": 1, "validation": 1, "test": 1}}
    monkeypatch.setattr("monai_synthfm.data.datasets.totalsegmentator._SIZES", sizes)
    assert check_data("totalsegmentator_ct", root, progress=False)["status"] == "complete"
    report = check_data("totalsegmentator_ct", root, progress=False, options={"section": "test"})
    assert (report["status"], report["found"], report["expected"]) == ("complete", {"test": 1}, {"test": 1})
    sizes["ct"]["test"] = 2
    assert check_data("totalsegmentator_ct", root, progress=False)["status"] == "partial"


@pytest.mark.slow
def test_bundle_command_ends_with_the_right_exit_code(tmp_path: Path, bundle_dir: Path) -> None:
    root = write_amos(tmp_path)
    command = [sys.executable, "-m", "monai.bundle", "run"]
    command += ["--config_file", str(bundle_dir / "configs" / "check_data.yaml")]
    command += ["--dataset_name", "amos_ct", "--dataset_dir", str(root), "--output_dir", str(tmp_path / "out")]
    first = subprocess.run(command, capture_output=True, text=True, cwd=bundle_dir.parents[1], check=False)
    assert first.returncode == 0, first.stderr
    assert "partial, sane" in first.stdout
    (root / "labelsVa" / "amos_0008.nii.gz").unlink()
    second = subprocess.run(command, capture_output=True, text=True, cwd=bundle_dir.parents[1], check=False)
    assert second.returncode == 1, second.stderr
    assert "amos_0008: missing_label" in second.stdout
    assert not json.loads((tmp_path / "out" / "check_amos_ct.json").read_text())["sane"]


def test_content_that_changed_since_it_was_compressed_is_a_fault(tmp_path: Path) -> None:
    root = write_amos(tmp_path)
    path = root / "labelsTr" / "amos_0001.nii.gz"
    path.write_bytes(path.read_bytes()[:-8] + b"\1\2\3\4" + path.read_bytes()[-4:])
    (fault,) = check_data("amos_ct", tmp_path, progress=False)["faults"]
    assert (fault["code"], fault["case_id"], fault["file"]) == ("unreadable", "amos_0001", str(path))
    assert fault["message"].startswith("damaged since it was compressed (CRC check failed")

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The page on performance shows what the benchmarks measured, and its estimate follows from that."""

from __future__ import annotations

import json
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from monai_synthfm import __version__
from tests.conftest import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def estimate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """The columns that the command on the page makes of the measured times."""
    command = runpy.run_path(str(BENCHMARKS / "run_all.py"))["COMMANDS"]["estimate"]
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(sys, "argv", [*shlex.split(command), "--output", str(tmp_path / "estimate.json")])
    runpy.run_path(str(BENCHMARKS / "estimate.py"), run_name="__main__")
    return json.loads((tmp_path / "estimate.json").read_text())["results"]["columns"]


@pytest.mark.parametrize("path", sorted((BENCHMARKS / "results").glob("*.json")), ids=lambda path: path.stem)
def test_the_page_shows_the_stored_results(path: Path) -> None:
    script = runpy.run_path(str(BENCHMARKS / "run_all.py"))
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    markdown = json.loads(path.read_text(encoding="utf-8"))["markdown"]
    assert script["fill"](page, path.stem, markdown) == page, "run python benchmarks/run_all.py"


def test_every_module_of_volumes_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    modules = runpy.run_path(str(BENCHMARKS / "volume_generation.py"))["MODULES"]
    stored = json.loads((BENCHMARKS / "results" / "volume_generation.json").read_text(encoding="utf-8"))
    assert {f"RandSynthFM3D, {module}" for module in modules} <= stored["results"]["cpu_seconds"].keys()
    assert {f"{module}, in tensors" for module in modules} <= stored["results"]["volumes"].keys()


def test_a_measurement_names_the_version_that_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    machine = runpy.run_path(str(BENCHMARKS / "measuring.py"))["machine"]
    monkeypatch.setattr("importlib.metadata.version", lambda name: "of an old installation")
    assert machine()["monai-synthfm"] == __version__


def test_the_estimate_follows_from_the_measured_times(estimate: dict[str, dict[str, str]]) -> None:
    stored = json.loads((BENCHMARKS / "results" / "estimate.json").read_text(encoding="utf-8"))
    assert stored["results"]["columns"] == estimate
    images = estimate["1,000,000 images of 1024 x 1024"]
    measured = json.loads((BENCHMARKS / "results" / "generation.json").read_text(encoding="utf-8"))["results"]
    seconds = measured["cpu_seconds"]["RandSynthFM, both"]["1024 x 1024"]
    assert float(images["CPU-hours of all = number x seconds / 3600"]) == pytest.approx(
        1e6 * sum(seconds) / len(seconds) / 3600, abs=0.05
    )
    assert float(images["hours on 8 GPUs, if they scale"]) == pytest.approx(1e6 * 0.25 / 3600 / 8, abs=0.05)
    assert images["updates on 8 GPUs, batch of one on each"] == "125,000"

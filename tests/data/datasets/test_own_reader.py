# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a reader of one's own costs: one file, and its name in a configuration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from monai.bundle import ConfigParser
from PIL import Image

from monai_synthfm.data.case_slices import CutIntoSlices
from monai_synthfm.data.datasets import open_dataset
from monai_synthfm.data.datasets.checks import check_data

NAME = "tests.data.datasets.own_reader.Nuclei"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    mask = np.zeros((12, 16), np.uint8)
    mask[2:6, 3:9] = 1
    for stem in ("a", "b"):
        for folder, name, values in (("images", stem, 40 + 90 * mask), ("masks", f"{stem}_mask", mask)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(values).save(tmp_path / folder / f"{name}.png")
    return tmp_path


def test_it_is_opened_checked_and_evaluated_by_its_name_alone(root: Path) -> None:
    parser = ConfigParser({"_target_": "monai_synthfm.data.datasets.open_dataset", "name": NAME, "root": str(root)})
    dataset = parser.get_parsed_content("")
    assert [case.case_id for case in dataset.data] == ["a", "b"]
    ((target,),) = [item.targets for item in CutIntoSlices()(dataset[0]).slices]
    assert (target.structure, int(target.mask.sum())) == ("nucleus", 24)
    report = check_data(NAME, root, progress=False)
    assert (report["status"], report["sane"]) == ("complete", True)


def test_its_faults_are_found_without_a_line_of_its_own(root: Path) -> None:
    (root / "masks" / "b_mask.png").rename(root / "masks" / "c_mask.png")
    report = check_data(NAME, root, progress=False)
    found = [(fault["case_id"], fault["code"]) for fault in report["faults"]]
    assert found == [("b", "missing_label"), ("c", "missing_image")]


@pytest.mark.parametrize("name", ["tests.data.datasets.own_reader.Oval", "pathlib.Path", "no_such_module.Reader"])
def test_what_is_no_dataset_is_refused(name: str, root: Path) -> None:
    with pytest.raises(ValueError, match=f"dataset name '{name}' is not one of .*, nor a LabelledDataset that can be"):
        open_dataset(name, root)

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import inspect
import re
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_synthfm.commands.catalogue import configs_folder
from monai_synthfm.commands.reader_options import reader_settings, take_reader_options
from monai_synthfm.commands.settings import merged
from monai_synthfm.data.datasets import DATASETS, FolderDataset

CONFIG = merged([configs_folder() / "check_data.yaml"])


def taken(dataset: str, /, **typed: Any) -> dict[str, Any]:
    return take_reader_options({"dataset_name": dataset, **typed}, "options", CONFIG)["options"]


def test_the_arguments_of_a_reader_are_read_by_their_annotations() -> None:
    words = {"structures": "liver,spleen", "modality": "CT", "other_values": "true", "dimensions": "2", "images": "1e5"}
    assert taken("folder", **words) == {
        "section": None,
        "structures": "liver,spleen",
        "modality": "CT",
        "other_values": True,
        "dimensions": 2,
        "images": "1e5",
    }
    assert taken("folder", structures="{liver: 1, spleen: 6}")["structures"] == {"liver": 1, "spleen": 6}
    assert taken("amos_ct", exclude="0001,12", section="training") == {"section": "training", "exclude": ["0001", "12"]}
    assert taken("camus", fold="3")["fold"] == 3


@pytest.mark.parametrize("name", DATASETS)
def test_every_reader_takes_its_own_arguments_and_explains_them(name: str) -> None:
    make = DATASETS[name]
    kind, fixed = (make.func, make.keywords) if isinstance(make, partial) else (make, {})
    own = {*inspect.signature(kind).parameters} - {"root", "options", "transform", "on_fault", *fixed}
    shown = reader_settings(name)
    assert {setting.name for setting in shown} == own | {"section", "structures", "exclude"}
    assert all(setting.comment for setting in shown)
    for option in own:
        assert option in taken(name, **{option: "1"})


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"structurs": "liver"}, "there is no option 'structurs'; did you mean 'structures'?"),
        ({"require_complet": "yes"}, "there is no option 'require_complet'; did you mean 'require_complete'?"),
        ({"transform": "x"}, "there is no option 'transform'; folder has structures, images, "),
        ({"other_values": "maybe"}, "other_values must be True or False, got 'maybe'."),
        ({"modality": "ct", "options": "{modality: mr}"}, "modality is given twice: as --modality and in --options."),
        ({"section": "all", "options": "{section: test}"}, "section is given twice: as --section and in --options."),
        (
            {"modality": "ct", "options": "@mine"},
            "options must be a mapping where --modality goes into it, got '@mine'.",
        ),
    ],
)
def test_unknown_and_wrong_ones_are_refused(typed: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        taken("folder", **typed)


def test_options_of_the_configs_stay() -> None:
    typed = {"dataset_name": "folder", "require_complete": "yes", "options::modality": "mr", "structures": "liver"}
    found = take_reader_options(typed, "options", CONFIG)
    assert found == {
        "dataset_name": "folder",
        "require_complete": "yes",
        "options::modality": "mr",
        "options": {"section": None, "structures": "liver"},
    }
    assert list(found) == ["dataset_name", "require_complete", "options", "options::modality"]


def test_a_config_may_say_which_dataset_it_is() -> None:
    config = {**CONFIG, "dataset_name": "folder", "options": {"section": "all", "modality": "mr"}}
    found = take_reader_options({"structures": "liver", "modality": "ct"}, "options", config)
    assert found == {"options": {"section": "all", "modality": "ct", "structures": "liver"}}
    assert taken("amos_ct", exclude="0001") == {"section": None, "exclude": ["0001"]}
    with pytest.raises(ValueError, match="there is no option 'transform'; folder has structures, images, "):
        take_reader_options({"transform": "x"}, "options", config)


def test_what_is_typed_for_a_folder_opens_it(tmp_path: Path) -> None:
    typed = {"structures": "liver, spleen", "images": "grey/*", "label_suffix": "_seg", "labels": "grey_seg"}
    for folder, ending, values in (("grey", "", [0, 50]), ("grey_seg", "_seg", [0, 2])):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            voxels = np.resize(np.array(values, np.uint8), (3, 2, 2))
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / folder / f"{name}{ending}.nii.gz")
    options = {name: value for name, value in taken("folder", **typed).items() if name != "section"}
    dataset = FolderDataset(tmp_path, **options)
    assert dataset.table == {"liver": 1, "spleen": 2}
    assert [case.case_id for case in dataset.data] == ["a", "b"]
    assert dataset[0].present == {"liver": False, "spleen": True}

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Cases, as objects and as what dictionary transforms of MONAI take."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Flipd

from monai_synthfm.data.datasets.case import Case, LoadedCase

NAMES: dict[str, Any] = {"dataset": "d", "case_id": "c", "patient_id": "p", "modality": "us", "split": "test"}
STRUCTURES = {"head": 1, "arm": 2}
CASE = Case(**NAMES, image="a.png", label="b.png", structures=STRUCTURES, facts={"view": "2CH"})


def loaded(label: torch.Tensor, **more: Any) -> LoadedCase:
    image = MetaTensor(torch.rand(label.shape), meta={"filename_or_obj": "a.png"})
    tensors = {"image": image, "label": MetaTensor(label), "present": {"head": True, "arm": False}}
    return LoadedCase(**NAMES, **tensors, structures=STRUCTURES, **more)


def test_a_case_reads_as_a_dictionary_of_its_fields_and_facts() -> None:
    fields = {**NAMES, "image": "a.png", "label": "b.png", "structures": STRUCTURES, "spacing": None, "view": "2CH"}
    assert dict(CASE) == fields
    assert len(CASE) == len(fields)
    assert json.loads(json.dumps(dict(CASE))) == fields
    assert CASE == pickle.loads(pickle.dumps(CASE)) == Case.of(dict(CASE))
    assert Case.of(CASE) is CASE
    assert Case.of(dict(CASE)).facts == {"view": "2CH"}
    with pytest.raises(KeyError):
        CASE["instances"]


def test_a_case_is_not_changed_but_replaced() -> None:
    with pytest.raises(FrozenInstanceError):
        CASE.split = "training"  # type: ignore[misc]
    with pytest.raises(TypeError):
        CASE["split"] = "training"  # type: ignore[index]
    assert (replace(CASE, split="training").split, CASE.split) == ("training", "test")


def test_a_structure_is_where_any_channel_has_its_value() -> None:
    label = torch.zeros(2, 3, 4, dtype=torch.int16)
    label[0, 0, 0], label[1, 2, 1], label[1, 1, 1] = 1, 1, 2
    case = loaded(label)
    assert np.argwhere(case.mask("head")).tolist() == [[0, 0], [2, 1]]
    assert np.argwhere(case.mask("arm")).tolist() == [[1, 1]]
    with pytest.raises(KeyError):
        case.mask("leg")


def test_objects_are_an_entry_only_where_they_are_labelled() -> None:
    label = torch.ones(1, 3, 4, dtype=torch.int16)
    assert "instances" not in loaded(label)
    assert "instances" in loaded(label, instances=MetaTensor(label))


@pytest.mark.parametrize(("spacing", "is_volume"), [(None, False), ([1.0, 2.0], False), ([1.0, 2.0, 3.0], True)])
def test_volumes_are_told_by_their_spacing(spacing: list[float] | None, is_volume: bool) -> None:
    assert replace(CASE, spacing=spacing).is_volume == is_volume


def test_transforms_of_monai_give_a_dictionary_of_which_a_case_is_made_again() -> None:
    label = torch.zeros(1, 3, 4, dtype=torch.int16)
    label[0, 0, 0] = 1
    turned = Compose([Flipd(keys=["image", "label"], spatial_axis=0)])(loaded(label, facts={"view": "2CH"}))
    assert type(turned) is dict
    again = LoadedCase.of(turned)
    assert np.argwhere(again.mask("head")).tolist() == [[2, 0]]
    assert again.facts == {"view": "2CH"}
    assert again.record == NAMES

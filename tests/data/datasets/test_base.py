# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The common core of datasets, seen on one that lives in memory: sorting out of cases, and checks on loading."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_synthfm.data.datasets.base import LabelledDataset
from monai_synthfm.data.datasets.case import Case
from monai_synthfm.io.faults import Fault, FaultError

LABEL = np.array([[[0, 1, 1], [4, 4, 0]]], dtype=np.int16)


class Tiny(LabelledDataset):
    """Cases and faults as given, every one with the same image and label."""

    name = "tiny"
    modality = "ct"
    table = {"liver": 1, "spleen": 2, "kidney": 4}  # noqa: RUF012
    evaluated = ("liver", "spleen")
    expected = {}  # noqa: RUF012

    def __init__(self, items: Sequence[str | Fault], label: Any = LABEL, affine: Any = None, **options: Any) -> None:
        """Names are ``split/case_id``."""
        self.items, self.label = items, label
        self.affine = np.eye(4) if affine is None else affine
        super().__init__("somewhere", **options)

    def find_root(self, root: Path) -> Path:
        return root / "tiny"

    def scan(self) -> Iterable[Case | Fault]:
        for item in self.items:
            if isinstance(item, Fault):
                yield item
            else:
                split, _, case_id = item.partition("/")
                yield self.case(case_id, split, f"{case_id}.nii", [f"{case_id}_label.nii"])

    def read(self, case: Case) -> tuple[MetaTensor, MetaTensor]:
        image = MetaTensor(torch.zeros(1, *self.label.shape[1:]))
        meta = {"filename_or_obj": case["label"][0]}
        return image, MetaTensor(torch.from_numpy(self.label), affine=torch.from_numpy(self.affine), meta=meta)


def broken(case_id: str | None, split: str | None = "test", notice: bool = False) -> Fault:
    return Fault("tiny", case_id, split, "missing_label", f"{case_id}.nii", "no label beside it", notice)


def names(dataset: LabelledDataset) -> list[str]:
    return [case["case_id"] for case in dataset.data]


def test_a_section_has_its_own_cases_and_the_faults_of_no_known_split() -> None:
    items = ["training/a", "test/b", broken("c", "training"), broken("d", None), broken("e", "test")]
    dataset = Tiny(items, section="test", on_fault="skip")
    assert names(dataset) == ["b"]
    assert [fault.case_id for fault in dataset.skipped] == ["d", "e"]
    assert [record["case_id"] for record in dataset.skip_report()] == ["d", "e"]
    assert names(Tiny(items, on_fault="skip")) == ["a", "b"]


def test_what_the_user_chose_is_said_as_it_was_given() -> None:
    dataset = Tiny(["training/a", "training/c"], section="training", structures=["spleen"], exclude=["a"])
    assert dataset.describe() == {
        "root": "somewhere",
        "section": "training",
        "exclude": ["a"],
        "on_fault": "raise",
        "modality": "ct",
        "structures": ["spleen"],
    }


def test_only_the_first_faults_are_shown_with_the_number_of_the_others() -> None:
    with pytest.raises(ValueError, match="tiny in somewhere/tiny: 7 faults") as caught:
        Tiny(["test/a", *(broken(f"c{k}") for k in range(7))])
    first, *shown, last = str(caught.value).splitlines()
    assert "on_fault skip leaves these cases out" in first
    assert shown == [f"  {broken(f'c{k}')}" for k in range(5)]
    assert last == "  and 2 more"


def test_a_download_of_faults_alone_is_refused_even_when_they_may_be_skipped() -> None:
    message = (
        "empty: somewhere/tiny: none of the 2 cases of tiny is usable, the first for this reason: .*no label beside it"
    )
    with pytest.raises(FaultError, match=message) as caught:
        Tiny([broken("a"), broken("b")], on_fault="skip")
    assert caught.value.skipped == (broken("a"), broken("b"))
    assert pickle.loads(pickle.dumps(caught.value)).skipped == caught.value.skipped


def test_a_second_case_of_an_id_is_a_fault() -> None:
    with pytest.raises(ValueError, match=r"tiny a: duplicate: .*: a second case of this id"):
        Tiny(["test/a", "training/a"])
    dataset = Tiny(["test/a", "training/a"], on_fault="skip")
    assert [case["split"] for case in dataset.data] == ["test"]
    assert dataset.skipped[0].split == "training"


def test_what_is_known_or_excluded_is_listed_and_no_error() -> None:
    dataset = Tiny(["test/a", "test/b", broken("c"), broken("d", notice=True)], exclude=["a", "c"])
    assert names(dataset) == ["b"]
    assert [(fault.case_id, fault.code, fault.notice) for fault in dataset.skipped] == [
        ("a", "excluded", True),
        ("c", "excluded", True),
        ("d", "missing_label", True),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"section": "holdout"}, r"section must be one of \('training', 'validation', 'test'\) or None, got 'holdout'"),
        ({"on_fault": "warn"}, "on_fault must be 'raise' or 'skip', got 'warn'"),
        ({"structures": "lung"}, r"structures must be 'all' or names out of \['liver', .*\], got 'lung'"),
        ({"structures": ["liver", "heart"]}, r"structures must be .*, got \['liver', 'heart'\]"),
        ({"structures": ""}, r"structures must be .*, got ''"),
        ({"structures": " ,"}, r"structures must be .*, got ' ,'"),
        ({"structures": []}, r"structures must be .*, got \[\]"),
        ({"exclude": "a"}, "exclude must be a list of case ids, got 'a'"),
        ({"exclude": ["z", "a", "y"]}, r"exclude names cases that tiny does not have: \['y', 'z'\]"),
        ({"exclude": ["a"]}, r"empty: .*: none of the 1 cases of tiny .*a: excluded.*by the user"),
        ({"section": "validation"}, "empty: somewhere/tiny: no labelled case of tiny in section 'validation'"),
    ],
)
def test_wrong_arguments_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Tiny(["test/a"], **options)


def test_labels_of_volumes_lie_where_the_image_does_to_a_thousandth_and_pictures_nowhere() -> None:
    near, far = np.eye(4), np.eye(4)
    near[0, 3], far[0, 3] = 0.5e-3, 0.01
    volume = LABEL[..., None]
    assert Tiny(["test/a"], label=volume, affine=near)[0]["label"].shape == (1, 2, 3, 1)
    with pytest.raises(FaultError, match=r"^affine_mismatch: a_label\.nii: label and image lie in different places"):
        Tiny(["test/a"], label=volume, affine=far)[0]
    assert Tiny(["test/a"], affine=far)[0]["label"].shape == (1, 2, 3)


def test_unknown_values_are_shown_up_to_five_unless_anything_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Tiny(["test/a"], label=np.arange(12, dtype=np.int16).reshape(1, 3, 4))
    message = r"^unexpected_label: a_label\.nii: values \[3, 5, 6, 7, 8\], expected 0 and \[1, 2, 4\]$"
    with pytest.raises(FaultError, match=message):
        dataset[0]
    monkeypatch.setattr(Tiny, "only_known_values", False)
    assert dataset[0]["present"] == {"liver": True, "spleen": True}


def test_a_fault_of_a_file_comes_out_as_it_is_and_before_any_transform() -> None:
    seen: list[Case] = []
    with pytest.raises(FaultError, match="unexpected_label") as caught:
        Tiny(["test/a"], label=7 * LABEL, transform=seen.append)[0]
    assert (caught.value.code, caught.value.file) == ("unexpected_label", "a_label.nii")
    assert seen == []


def test_files_that_belong_together_become_cases_and_others_faults() -> None:
    dataset = Tiny(["test/a"])
    images, labels = (
        {name: Path(f"{kind}/{name}.nii") for name in names} for kind, names in (("i", "abd"), ("l", "acd"))
    )
    twice = {"d": FaultError("duplicate", "i/d.nii.gz", "the same case as d.nii; keep one of them")}
    found = list(dataset.pair(images, labels, "test", faults=twice))
    assert [item if isinstance(item, Fault) else (item.case_id, item.image, item.label) for item in found] == [
        ("a", "i/a.nii", "l/a.nii"),
        Fault("tiny", "b", "test", "missing_label", "i/b.nii", "an image without a label map"),
        Fault("tiny", "d", "test", "duplicate", "i/d.nii.gz", "the same case as d.nii; keep one of them"),
        Fault("tiny", "c", "test", "missing_image", "l/c.nii", "a label map without an image"),
    ]
    known = [
        item.notice for item in dataset.pair(images, {}, "test", unlabelled_is_known=True) if isinstance(item, Fault)
    ]
    assert known == [True] * 3


def test_a_pair_that_cannot_be_a_case_is_a_fault_of_its_file() -> None:
    dataset = Tiny(["test/a"])

    def make(case_id: str, split: str, image: Path, label: Path) -> Case:
        if case_id == "b":
            raise FaultError("no_metadata", image, "no row in the table")
        return dataset.case(case_id, split, image, label, patient_id="p", side="left")

    paths = {name: Path(f"{name}.nii") for name in "ab"}
    case, fault = dataset.pair(paths, paths, "test", make)
    assert isinstance(case, Case)
    assert (case.patient_id, case.facts, case["side"]) == ("p", {"side": "left"}, "left")
    assert fault == Fault("tiny", "b", "test", "no_metadata", "b.nii", "no row in the table")


def test_a_case_of_a_dictionary_is_loaded_as_the_case_is() -> None:
    dataset = Tiny(["test/a"])
    first, second = (dataset.load(case) for case in (dataset.data[0], dict(dataset.data[0])))
    assert first.record == second.record
    assert first.present == second.present == {"liver": True, "spleen": False}

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What every reader must do alike, checked on all replicas."""

from __future__ import annotations

import json
import os
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import Dataset
from monai.transforms import Compose, Orientationd, ScaleIntensityd

pytest.importorskip("pydicom", reason="pydicom writes the DICOM slices of a replica")
from monai_synthfm.data.datasets import DATASETS, open_dataset
from monai_synthfm.transforms.medsam import MODALITIES
from tests.replicas.every import REPLICAS

KEYS = {"case_id", "patient_id", "modality", "dataset", "split", "image", "label", "structures", "spacing"}


@pytest.fixture(scope="module", params=sorted(REPLICAS))
def replica(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, REPLICAS[request.param](tmp_path_factory.mktemp(request.param))


def test_every_name_has_a_replica() -> None:
    assert set(REPLICAS) == set(DATASETS) - {"folder"}


def test_cases_have_the_agreed_keys_and_are_plain_data(replica: tuple[str, Path]) -> None:
    name, root = replica
    dataset = open_dataset(name, root)
    assert len({case["case_id"] for case in dataset.data}) == len(dataset)
    for case in dataset.data:
        assert set(case) >= KEYS
        assert case["dataset"] == name
        assert case["modality"] in MODALITIES
        assert case["split"] in dataset.sections
        assert json.loads(json.dumps(dict(case))) == case


def test_loaded_cases_keep_the_contract_of_images_and_labels(replica: tuple[str, Path]) -> None:
    name, root = replica
    for sample in open_dataset(name, root):
        image, label = sample["image"], sample["label"]
        assert image.dtype == torch.float32
        assert label.dtype == torch.int16
        assert image.shape[1:] == label.shape[1:]
        assert bool(image.isfinite().all())
        assert set(sample["present"]) == set(sample["structures"])
        for structure, present in sample["present"].items():
            assert sample.mask(structure).any() == present
        if sample["spacing"] is not None and image.ndim == 4 and "camus" not in name:
            np.testing.assert_allclose(image.pixdim, sample["spacing"], rtol=1e-5)
            assert image.affine[:3, :3].abs().argmax(dim=0).tolist() == [0, 1, 2]
            assert (image.affine.diagonal()[:3] > 0).all()
        if "instances" in sample:
            assert ((sample["instances"] > 0) == (label > 0)).all()


def snapshot(name: str, root: Path) -> list:
    samples = list(open_dataset(name, root))
    return [
        (sample["case_id"], sample["image"].numpy().tobytes(), sample["label"].numpy().tobytes()) for sample in samples
    ]


def test_order_of_directory_entries_changes_nothing(replica: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    name, root = replica
    expected = snapshot(name, root)
    listdir, shuffle = os.listdir, random.Random(1).shuffle

    def shuffled(folder: str | Path = ".") -> list[str]:
        names = listdir(folder)
        shuffle(names)
        return names

    monkeypatch.setattr(os, "listdir", shuffled)
    assert snapshot(name, root) == expected


def test_files_a_system_leaves_behind_change_nothing(replica: tuple[str, Path]) -> None:
    name, root = replica
    expected = snapshot(name, root)
    for folder in {root, *(path.parent for path in [*root.rglob("*")] if path.is_file())}:
        (folder / ".DS_Store").write_bytes(b"\0")
        (folder / "Thumbs.db").write_bytes(b"\0")
        (folder / "._x.png").write_bytes(b"\0")
        (folder / "._x.nii.gz").write_bytes(b"\0")
        (folder / "._x.dcm").write_bytes(b"\0")
    assert snapshot(name, root) == expected


def test_cases_go_through_monai_transforms(replica: tuple[str, Path]) -> None:
    name, root = replica
    dataset = open_dataset(name, root)
    volumes = dataset[0]["image"].ndim == 4 and "camus" not in name
    turn = [Orientationd(keys=["image", "label"], axcodes="LPI", labels=None)] if volumes else []
    sample = Dataset(dataset.data, Compose([dataset.load, *turn, ScaleIntensityd(keys="image")]))[0]
    assert float(sample["image"].max()) == 1.0
    assert sample["label"].shape[1:] == sample["image"].shape[1:]


def test_datasets_travel_to_worker_processes(replica: tuple[str, Path]) -> None:
    name, root = replica
    dataset = open_dataset(name, root)
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again[0]["image"], dataset[0]["image"])


def test_roots_are_found_from_above_and_relative_to_the_working_directory(
    replica: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, root = replica
    expected = [case["case_id"] for case in open_dataset(name, root).data]
    for folder, given in ((root.parent, "."), (root, "."), (root.parent, root.name)):
        monkeypatch.chdir(folder)
        assert [case["case_id"] for case in open_dataset(name, given).data] == expected


def test_a_missing_folder_and_unknown_options_are_refused_by_name(replica: tuple[str, Path]) -> None:
    name, root = replica
    for given in (None, "", " "):
        with pytest.raises(ValueError, match=f"dataset {name}: its folder is not given"):
            open_dataset(name, given)
    with pytest.raises(ValueError, match=f"dataset {name} has no option 'sektion'; it has .*section, transform"):
        open_dataset(name, root, sektion="test")

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Clients of a federation: what they give is what they trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.fl.utils.constants import ExtraItems, ModelType, WeightType
from monai.fl.utils.exchange_object import ExchangeObject

from monai_synthfm.bundles import BUNDLES
from monai_synthfm.fl import FederatedTraining
from monai_synthfm.networks.weights.files import load_state
from tests.bundles.small_bundle import installed
from tests.bundles.test_train import SMALL
from tests.bundles.test_train_3d import SMALL as SMALL_3D

OPTIONS = {"synthfm_sam": SMALL, "synthfm_sam2_3d": SMALL_3D}
BEST = {ExtraItems.MODEL_TYPE: ModelType.BEST_MODEL}
FINAL = {ExtraItems.MODEL_TYPE: ModelType.FINAL_MODEL}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of both bundles, each with a models/model.pt."""
    return installed(tmp_path, monkeypatch)


def client(folder: Path, name: str, output_dir: Path, **options: Any) -> FederatedTraining:
    words = {**OPTIONS[name], "output_dir": str(output_dir), **options}
    return FederatedTraining(name, train_kwargs=words, send_weight_diff=False)


@pytest.mark.filterwarnings("ignore:executing the bundle config")
@pytest.mark.parametrize("name", BUNDLES)
def test_best_and_final_model_are_those_of_this_training(folder: Path, tmp_path: Path, name: str) -> None:
    shipped = (folder / name / "models" / "model.pt").read_bytes()
    one = client(folder, name, tmp_path / "out")
    one.initialize({ExtraItems.APP_ROOT: str(folder)})
    with pytest.raises(ValueError, match=r"no best model yet: this training has not written .*out/model\.pt"):
        one.get_weights(BEST)
    sent = {key: value.clone() for key, value in one.get_weights().weights.items()}
    one.train(ExchangeObject(weights=sent, weight_type=WeightType.WEIGHTS))
    best, final = one.get_weights(BEST), one.get_weights(FINAL)
    written = load_state(tmp_path / "out" / "model.pt")
    assert best.weight_type == final.weight_type == WeightType.WEIGHTS
    assert best.weights.keys() == final.weights.keys() == sent.keys()
    for key, value in best.weights.items():
        assert torch.equal(value, written[key.removeprefix("network.")])
    assert all(torch.equal(value, one.trainer.network.state_dict()[key]) for key, value in final.weights.items())
    assert any(not torch.equal(value, sent[key]) for key, value in best.weights.items())
    assert (folder / name / "models" / "model.pt").read_bytes() == shipped
    # others can evaluate what it gives
    validated = one.train_workflow.evaluator.state.metrics["val_mean_dice"]
    assert one.evaluate(best).metrics["val_mean_dice"] == pytest.approx(validated)
    one.finalize()


@pytest.mark.filterwarnings("ignore:executing the bundle config")
def test_weights_that_the_federation_sends_are_trained_on(folder: Path, tmp_path: Path) -> None:
    one = client(folder, "synthfm_sam", tmp_path / "out", learning_rate=0.0, weight_decay=0.0)
    one.initialize({ExtraItems.APP_ROOT: str(folder)})
    sent = {
        key: value + 0.5 if value.is_floating_point() else value for key, value in one.get_weights().weights.items()
    }
    one.train(ExchangeObject(weights=sent, weight_type=WeightType.WEIGHTS))
    assert all(torch.equal(value, sent[key]) for key, value in one.get_weights(BEST).weights.items())


@pytest.mark.filterwarnings("ignore:executing the bundle config")
def test_another_training_is_not_taken_for_this_one(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.pt").write_bytes(b"of another training")
    one = client(folder, "synthfm_sam", tmp_path / "out")
    with pytest.raises(FileExistsError, match=r"out/model\.pt is of another training: name another output_dir"):
        one.initialize({ExtraItems.APP_ROOT: str(folder)})
    assert (tmp_path / "out" / "model.pt").read_bytes() == b"of another training"


@pytest.mark.filterwarnings("ignore:executing the bundle config")
def test_a_training_that_resumes_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "checkpoint.pt").write_bytes(b"")
    one = client(folder, "synthfm_sam", tmp_path / "out", resume=True)
    with pytest.raises(ValueError, match="resume is set: it would undo the weights that the federation sends"):
        one.initialize({ExtraItems.APP_ROOT: str(folder)})

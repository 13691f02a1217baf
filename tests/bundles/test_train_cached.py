# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Training from cached embeddings: the bundle's properties, an exact resume after a kill, and two processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigWorkflow

from tests.bundles.test_train import SMALL, weights, workflow
from tests.bundles.two_processes import run_in_two_processes

CACHED = ("train.yaml", "train_cached.yaml")
RING: dict[str, Any] = {"ring_gb": 0.01, "fresh_images": 3, "max_epochs": 3}


@pytest.fixture
def encoder(bundle_dir: Path, tmp_path: Path) -> dict[str, Any]:
    """Weights that all networks of a test start from, as overrides: the tiny encoder is random, not pretrained."""
    start = workflow(bundle_dir, tmp_path)
    start.initialize()
    path = tmp_path / "start.pt"
    torch.save(start.parser.get_parsed_content("network_def").state_dict(), path)
    return {"pretrained": str(path)}


def run(config: ConfigWorkflow) -> None:
    config.initialize()
    config.run()
    config.finalize()


def test_all_workflow_properties_are_found(bundle_dir: Path, tmp_path: Path) -> None:
    config = workflow(bundle_dir, tmp_path, CACHED)
    config.initialize()
    assert config.check_properties() == []


def test_validation_sees_the_images_and_prompts_of_the_plain_training(
    bundle_dir: Path, tmp_path: Path, encoder: dict[str, Any]
) -> None:
    plain = workflow(bundle_dir, tmp_path / "plain", **encoder)
    cached = workflow(bundle_dir, tmp_path / "cached", CACHED, **RING, **encoder)
    scores = []
    for config in (plain, cached):
        config.initialize()
        evaluator = config.parser.get_parsed_content("validate#evaluator")
        evaluator.run()
        scores.append((evaluator.state.metrics["val_mean_dice"], evaluator.state.dataloader.dataset[0]))
    for key in ("label", "points", "point_labels"):
        assert torch.equal(torch.as_tensor(scores[0][1][key]), torch.as_tensor(scores[1][1][key]))
    # the same random decoder on features in half precision
    assert scores[1][0] == pytest.approx(scores[0][0], abs=5e-3)


def test_a_training_killed_within_an_epoch_goes_on_as_if_it_had_not_been(
    bundle_dir: Path, tmp_path: Path, encoder: dict[str, Any]
) -> None:
    options = {**RING, **encoder, "forward_def#refine_prob": 0.5}
    run(workflow(bundle_dir, tmp_path / "whole", CACHED, **options))

    killed = workflow(bundle_dir, tmp_path / "parts", CACHED, **options)
    killed.initialize()

    def kill() -> None:
        raise InterruptedError("killed")

    trainer = killed.parser.get_parsed_content("train#trainer")
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=5), kill)
    with pytest.raises(RuntimeError):
        killed.run()
    (tmp_path / "parts" / "ring" / "train" / "000004.npy").unlink()
    run(workflow(bundle_dir, tmp_path / "parts", CACHED, resume=True, **options))

    one, other = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(one[name], other[name]) for name in one)
    start = torch.load(encoder["pretrained"], weights_only=True)
    assert {name.split(".")[0] for name in one if not torch.equal(one[name], start[name])} == {"mask_decoder"}


def test_producers_beside_the_training_train_the_same_network(
    bundle_dir: Path, tmp_path: Path, encoder: dict[str, Any]
) -> None:
    for producers in (0, 1):
        options = {**RING, **encoder, "num_producers": producers, "max_epochs": 2, "lr_scheduler#t_total": 9}
        run(workflow(bundle_dir, tmp_path / str(producers), CACHED, **options))
    one, other = weights(tmp_path / "0"), weights(tmp_path / "1")
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_two_processes_share_a_ring_with_gloo(bundle_dir: Path, tmp_path: Path) -> None:
    configs = [bundle_dir / "configs" / name for name in (*CACHED, "multi_gpu_train.yaml")]
    options = {**SMALL, **RING, "output_dir": tmp_path, "max_epochs": 2, "samples_per_epoch": 8}
    del options["device"]
    run_in_two_processes(configs, options)
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["checkpoint.pt", "model.pt"]
    assert len(list((tmp_path / "ring" / "train").glob("*.npy"))) == 6

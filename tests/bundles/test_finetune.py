# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Training on labelled datasets through the bundle: on every replica, with a tiny network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.data import list_data_collate
from monai.transforms import Compose
from PIL import Image

from tests.bundles.stored_volumes import root_of
from tests.bundles.test_evaluate import REPLICAS
from tests.bundles.test_train import SMALL, TINY_SAM, weights
from tests.evaluation.stand_ins import tiny_sam


def workflow(bundle_dir: Path, name: str, root: Path, output_dir: Path, **overrides: Any) -> ConfigWorkflow:
    names = ("image_size", "batch_size", "num_objects", "num_workers", "max_epochs", "warmup_steps", "amp", "device")
    small = {key: SMALL[key] for key in names}
    start = {"architecture": TINY_SAM, "pretrained": "$None", "reset_decoder": False}
    settings = {**start, "seed": 3, "val_fraction": 0.3}
    slices = {"samples_per_case": 6, "val_samples_per_case": 1, "min_voxels": 8, "min_pixels": 2, "section": None}
    config = ConfigWorkflow(
        workflow_type="train",
        config_file=[str(bundle_dir / "configs" / file) for file in ("train.yaml", "finetune.yaml")],
        meta_file=str(bundle_dir / "configs" / "metadata.json"),
        logging_file=str(bundle_dir / "configs" / "logging.conf"),
        dataset_name=name,
        dataset_dir=str(root),
        output_dir=str(output_dir),
        **{**small, **settings, **slices, **overrides},
    )
    config.initialize()
    return config


@pytest.mark.parametrize("name", REPLICAS)
def test_every_replica_trains_a_decoder(bundle_dir: Path, tmp_path: Path, name: str) -> None:
    options = {"max_epochs": 1, "on_fault": "skip", "plane": "auto" if name == "development" else "axial"}
    config = workflow(bundle_dir, name, REPLICAS[name](tmp_path), tmp_path / "run", **options)
    before = {key: value.clone() for key, value in config.network_def.state_dict().items()}
    train, held = config.parser.get_parsed_content("parts")
    assert {case["patient_id"] for case in train}.isdisjoint(case["patient_id"] for case in held)
    config.run()
    config.finalize()
    after = weights(tmp_path / "run")
    moved = {key.partition(".")[0] for key in after if not torch.equal(after[key], before[key])}
    assert moved == {"mask_decoder"}
    assert (tmp_path / "run" / "model.pt").is_file()


def test_all_workflow_properties_are_found(bundle_dir: Path, tmp_path: Path) -> None:
    config = workflow(bundle_dir, "hc18", REPLICAS["hc18"](tmp_path), tmp_path / "run")
    assert config.check_properties() == []


@pytest.mark.slow
def test_a_resumed_training_equals_one_that_was_never_interrupted(bundle_dir: Path, tmp_path: Path) -> None:
    torch.save(tiny_sam().state_dict(), tmp_path / "tiny.pt")
    root = REPLICAS["hc18"](tmp_path)
    start = workflow(bundle_dir, "hc18", root, tmp_path)
    steps = len(start.parser.get_parsed_content("train#dataloader"))
    assert steps > 0
    start = {"pretrained": str(tmp_path / "tiny.pt"), "reset_decoder": True}
    fixed = {**start, "lr_scheduler#t_total": 3 * steps}
    for folder, epochs, resume in (("whole", 3, False), ("halves", 2, False), ("halves", 3, True)):
        options = {"max_epochs": epochs, "resume": resume, **fixed}
        workflow(bundle_dir, "hc18", root, tmp_path / folder, **options).run()
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "halves")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_fewer_samples_than_a_batch_are_refused(bundle_dir: Path, tmp_path: Path) -> None:
    config = workflow(bundle_dir, "hc18", REPLICAS["hc18"](tmp_path), tmp_path / "run", batch_size=1000)
    with pytest.raises(RuntimeError) as caught:
        config.run()
    assert "the training has no step" in str(root_of(caught.value))


def test_samples_fit_the_square_input_and_validation_is_not_augmented(bundle_dir: Path, tmp_path: Path) -> None:
    config = workflow(bundle_dir, "hc18", REPLICAS["hc18"](tmp_path), tmp_path / "run", cache_rate=1.0)
    parsed = config.parser.get_parsed_content
    for part in ("train", "validate"):
        sample = parsed(f"{part}#dataset")[0]
        assert sample["image"].shape == (1, 64, 64)
        assert sample["label"].shape == (2, 64, 64)
        assert 0 <= sample["image"].min() <= sample["image"].max() <= 1
        assert set(sample["label"].unique().tolist()) <= {0, 1}
    assert all(type(case).__name__ == "CaseSlices" for case in parsed("train#cases")._cache)
    assert len(parsed("train#preprocessing").transforms) > len(parsed("validate#preprocessing").transforms)


@pytest.mark.parametrize("part", ["train", "validate"])
@torch.no_grad()
def test_the_network_sees_padded_slices_as_inference_sees_them_without(
    bundle_dir: Path, tmp_path: Path, part: str
) -> None:
    options = {"architecture": {**TINY_SAM, "preprocessing": "contrast"}}
    parsed = workflow(
        bundle_dir, "camus", REPLICAS["camus"](tmp_path), tmp_path / "run", **options
    ).parser.get_parsed_content
    network, dataset = parsed("network_def").eval(), parsed(f"{part}#dataset")
    seen: list[torch.Tensor] = []
    network.image_encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    image, _, _, prompts = parsed("prepare_batch")(list_data_collate([dataset[0], dataset[1]]))
    assert image.shape == (2, 1, 64, 64)
    parsed(f"{part}#inferer")(image, network, **prompts)
    squares = torch.cat(seen)
    dataset.transform = Compose(dataset.transform.transforms[:-1])  # the same samples without padding
    for index in range(2):
        unpadded = dataset[index]["image"][None]
        assert min(unpadded.shape[2:]) < 64
        network.encode(unpadded)
        nearest = min(float((seen[-1][0] - square).abs().max()) for square in squares)
        assert nearest < 1e-4  # of values that reach to 2


@pytest.mark.parametrize(("checkpoint", "from_scratch"), [(None, True), ("decoder.pt", False)])
def test_a_decoder_is_drawn_anew_only_when_none_is_given(
    bundle_dir: Path, checkpoint: str | None, from_scratch: bool
) -> None:
    parser = ConfigParser()
    parser.read_config([str(bundle_dir / "configs" / name) for name in ("train.yaml", "finetune.yaml")])
    parser["checkpoint"] = checkpoint
    parser.parse()
    assert parser.get_parsed_content("reset_decoder") is from_scratch


def test_pairs_of_ones_own_train_with_the_options_of_their_config(bundle_dir: Path, tmp_path: Path) -> None:
    for number in range(3):
        for part in ("imaging", "segmentation"):
            path = tmp_path / f"case_{number}" / f"{part}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.full((9, 12), number, np.uint8)).save(path)
    parser = ConfigParser()
    names = ("train.yaml", "finetune.yaml", "datasets/folder.yaml")
    parser.read_config([str(bundle_dir / "configs" / name) for name in names])
    options = {"images": "*/imaging", "labels": "*/segmentation", "dimensions": 2, "structures": {"all": 2}}
    for key, value in {**options, "dataset_dir": str(tmp_path), "other_values": True, "modality": "us"}.items():
        parser[key] = value
    source = parser.get_parsed_content("source")
    assert [case["case_id"] for case in source.data] == ["case_0", "case_1", "case_2"]
    assert [sample["present"]["all"] for sample in source] == [False, False, True]
    assert source[0]["modality"] == "us"
    (tmp_path / "case_1" / "segmentation.png").unlink()
    parser["on_fault"] = "skip"
    parser.parse()
    assert len(parser.get_parsed_content("source")) == 2

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The evaluation of volumes through the bundle, on replicas of all datasets that have volumes or sequences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_synthfm.evaluation.rows import read_rows, volume_rows
from tests.bundles.test_evaluate import EXPERIMENTS, network, workflow
from tests.replicas.every import REPLICAS
from tests.replicas.indexed import write_indexed

__all__ = ["network"]

QUICK = ("camus", "chaos_ct", "chaos_mr", "development")
LONG = ("amos_ct", "amos_mr", "totalsegmentator_ct", "totalsegmentator_mr")
VOLUMES = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG)]
FAST = {"click_pairs": [[1, 0]], "mask": False, "prompt_slices": ["largest"], "evaluator#report": None}
MODEL = "monai_synthfm.evaluation.volume_predictors.NetworkVolumePredictor"


def of_volumes(bundle_dir: Path, name: str, root: Path, output_dir: Path, **overrides: Any) -> ConfigWorkflow:
    files = ("evaluate.yaml", f"datasets/{name}.yaml", "evaluate_volumes.yaml")
    return workflow(bundle_dir, name, root, output_dir, files=files, section=None, **overrides)


@pytest.mark.parametrize("name", VOLUMES)
def test_every_replica_with_volumes_is_evaluated(
    bundle_dir: Path, tmp_path: Path, network: dict[str, Any], name: str
) -> None:
    options = {"dataset_name": "camus_half_sequence"} if name == "camus" else {}
    root = REPLICAS[name](tmp_path)
    config = of_volumes(bundle_dir, name, root, tmp_path / "eval", **FAST, **options, **network)
    config.run()
    dataset, rows = config.parser.get_parsed_content("dataset"), read_rows(tmp_path / "eval")
    assert len(rows)
    assert volume_rows(rows).all()
    skipped = pd.read_json(tmp_path / "eval" / "skipped.json")
    left_out = set(skipped.case_id) if len(skipped) else set()
    assert set(rows.case_id) | left_out >= {case["case_id"] for case in dataset.data}
    assert set(rows.prompts) == {"1p0n@largest/both", "box@largest/both"}
    assert (rows.groupby(["case_id", "structure", "instance"]).size() == 2).all()


def test_all_prompts_slices_and_directions_can_be_asked_for_and_reported(
    bundle_dir: Path, tmp_path: Path, network: dict[str, Any]
) -> None:
    options = {"prompt_slices": ["first", "middle", "largest"], "directions": ["both", "forward", "backward"]}
    root = REPLICAS["camus"](tmp_path)
    dataset = {"dataset_name": "camus_half_sequence", "structures": ["left_atrium"]}
    config = of_volumes(bundle_dir, "camus", root, tmp_path / "eval", **dataset, **options, **network)
    assert config.check_properties() == []
    config.run()
    rows = read_rows(tmp_path / "eval")
    asked = {tuple(name.replace("@", "/").split("/")) for name in rows.prompts}
    assert asked == {
        (what, where, way)
        for what in ("1p0n", "3p2n", "box", "mask")
        for where in options["prompt_slices"]
        for way in options["directions"]
    }
    assert (tmp_path / "eval" / "report" / "volume_dsc.csv").is_file()


def test_the_development_evaluation_takes_the_volumes(tmp_path: Path, network: dict[str, Any]) -> None:
    files = [EXPERIMENTS / name for name in ("dev_shared.yaml", "dev_shared_volumes.yaml")]
    parser = ConfigParser(ConfigParser.load_config_files(files))
    parser.read_config(parser.get())
    network["network_def"].pop("seed")
    single = {"_target_": "monai_synthfm.evaluation.predictors.NetworkPredictor", "name": "tiny"}
    parser.update(
        {
            "dataset_dir": str(write_indexed(tmp_path)),
            "output_dir": str(tmp_path / "eval"),
            "slicer#preprocessing#min_voxels": 8,
            "slicer#preprocessing#min_pixels": 2,
            "models": [{"_target_": MODEL, "predictor": {**single, "network": network["network_def"]}}],
            "evaluator#report#gallery": False,
        }
    )
    parser.get_parsed_content("run")
    rows = read_rows(tmp_path / "eval")
    assert volume_rows(rows).all()
    assert set(rows.prompts) == {f"{what}@largest/both" for what in ("1p0n", "3p2n", "box", "mask")}

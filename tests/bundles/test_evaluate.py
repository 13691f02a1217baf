# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The evaluation bundle on replicas of all datasets, with a tiny network, and the experiments that are made of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_synthfm.data.datasets import DATASETS, LabelledDataset
from monai_synthfm.evaluation.results_table import read_rows
from tests.bundles.test_train import TINY_SAM
from tests.bundles.two_processes import run_on_two_nodes
from tests.evaluation.stand_ins import tiny_sam
from tests.replicas.alfi import write_alfi
from tests.replicas.amos import write_amos
from tests.replicas.camus import write_camus_nifti
from tests.replicas.chaos import write_chaos
from tests.replicas.fetal_head import write_fh_ps_aop, write_jnu_ifm, write_psfhs
from tests.replicas.hc18 import write_hc18
from tests.replicas.indexed import write_indexed
from tests.replicas.totalsegmentator import write_ct, write_mr

REPLICAS: dict[str, Callable[[Path], Path]] = {
    "alfi": write_alfi,
    "amos_ct": write_amos,
    "amos_mr": write_amos,
    "camus": write_camus_nifti,
    "chaos_ct": write_chaos,
    "chaos_mr": write_chaos,
    "development": write_indexed,
    "fh_ps_aop": write_fh_ps_aop,
    "hc18": write_hc18,
    "jnu_ifm": write_jnu_ifm,
    "psfhs": write_psfhs,
    "totalsegmentator_ct": write_ct,
    "totalsegmentator_mr": write_mr,
}
EXPERIMENTS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def network(tmp_path: Path) -> dict[str, Any]:
    """Override that puts a tiny network with fixed weights in the place of the model."""
    torch.save(tiny_sam().state_dict(), tmp_path / "tiny.pt")
    network = {
        "_target_": "monai_synthfm.networks.prepare",
        "network": {**TINY_SAM, "image_size": 64},
        "pretrained": str(tmp_path / "tiny.pt"),
    }
    return {"network_def": network, "device": "cpu", "label": "tiny"}


def workflow(
    bundle_dir: Path, name: str, root: Path, output_dir: Path, files: Sequence[str] = (), **overrides: Any
) -> ConfigWorkflow:
    files = files or ("evaluate.yaml", f"datasets/{name}.yaml")
    config = ConfigWorkflow(
        workflow_type="infer",
        config_file=[str(bundle_dir / "configs" / file) for file in files],
        meta_file=str(bundle_dir / "configs" / "metadata.json"),
        logging_file=str(bundle_dir / "configs" / "logging.conf"),
        dataset_dir=str(root),
        output_dir=str(output_dir),
        **{"min_voxels": 8, "min_pixels": 2, "on_fault": "skip", **overrides},
    )
    config.initialize()
    return config


def evaluate(bundle_dir: Path, *args: Any, **overrides: Any) -> tuple[LabelledDataset, pd.DataFrame]:
    config = workflow(bundle_dir, *args, **overrides)
    config.run()
    config.finalize()
    return config.parser.get_parsed_content("dataset"), read_rows(args[2])


def test_there_is_an_override_for_every_public_dataset(bundle_dir: Path) -> None:
    names = {path.stem for path in (bundle_dir / "configs" / "datasets").glob("*.yaml")}
    variants = {"camus_half_sequence", "chaos_mr_t1in", "chaos_mr_t1out", "chaos_mr_t2"}
    assert names == set(DATASETS) - variants | {"folder"}
    assert names == {*REPLICAS, "folder"}


@pytest.mark.parametrize("name", REPLICAS)
def test_every_replica_is_evaluated(bundle_dir: Path, tmp_path: Path, network: dict[str, Any], name: str) -> None:
    # not every replica has cases in the section that the override takes
    options = {"section": None, "slices": "largest", "runner#report": None, **network}
    dataset, rows = evaluate(bundle_dir, name, REPLICAS[name](tmp_path), tmp_path / "eval", **options)
    skipped = pd.read_json(tmp_path / "eval" / "skipped.json")
    left_out = set(skipped.case_id) if len(skipped) else set()
    assert set(rows.case_id) | left_out >= {case["case_id"] for case in dataset.data}
    assert set(rows.structure) <= set(dataset.structures)
    assert set(rows.prompts) == {"1p0n", "1p2n", "3p0n", "3p2n"}
    targets = rows.groupby(["case_id", "structure", "slice_index", "instance"])
    assert (targets.size() == 4).all()
    assert (targets.area_target.nunique() == 1).all()


def test_all_workflow_properties_are_found(bundle_dir: Path, tmp_path: Path, network: dict[str, Any]) -> None:
    config = workflow(bundle_dir, "hc18", write_hc18(tmp_path), tmp_path / "eval", **network)
    assert config.check_properties() == []


def test_a_folder_of_ones_own_is_evaluated(bundle_dir: Path, tmp_path: Path, network: dict[str, Any]) -> None:
    source = write_indexed(tmp_path)
    for part, name in (("images", "ct1.nii.gz"), ("labels", "ct1_mask.nii.gz")):
        target = tmp_path / "mine" / part / "ct1.nii.gz"
        target.parent.mkdir(parents=True)
        target.write_bytes((source / "ct" / name).read_bytes())
    structures = {"spleen": 1, "liver": 5, "stomach": 9}
    _, rows = evaluate(
        bundle_dir,
        "folder",
        tmp_path / "mine",
        tmp_path / "eval",
        structures=structures,
        modality="ct",
        slices="largest",
        paper_tables=[1],
        **network,
    )
    assert set(rows.structure) == set(structures)
    assert set(rows.dataset) == {"folder"}
    assert (tmp_path / "eval" / "report" / "paper_table1.csv").is_file()


def test_the_dry_run_says_what_there_is_to_do(
    bundle_dir: Path, tmp_path: Path, network: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    config = workflow(bundle_dir, "hc18", write_hc18(tmp_path), tmp_path / "eval", run_id="dry_run", **network)
    config.run()
    shown = capsys.readouterr().out
    assert "fetal_head" in shown
    assert re.search(r"\d+ masks, \d+ rows; left out: \d+ records", shown)
    assert not (tmp_path / "eval").exists()


@pytest.mark.slow
def test_two_nodes_share_the_cases_and_folders_of_their_own_can_be_joined(
    bundle_dir: Path, tmp_path: Path, network: dict[str, Any]
) -> None:
    root = write_hc18(tmp_path)
    evaluate(bundle_dir, "hc18", root, tmp_path / "one", **network)
    names = ("evaluate.yaml", "datasets/hc18.yaml", "multi_gpu_evaluate.yaml")
    (tmp_path / "network.yaml").write_text(yaml.safe_dump({**network, "min_voxels": 8, "min_pixels": 2}))
    configs = [*(bundle_dir / "configs" / name for name in names), tmp_path / "network.yaml"]
    options = {"dataset_dir": root, "on_fault": "skip"}

    shared = {"output_dir": tmp_path / "shared"}
    run_on_two_nodes(configs, options, [shared, shared])
    own = [tmp_path / "first", tmp_path / "second"]
    shown = run_on_two_nodes(configs, options, [{"output_dir": folder} for folder in own])

    pieces = [{path.name for path in (folder / "shards").iterdir()} for folder in own]
    assert all(pieces)
    assert not pieces[0] & pieces[1]
    for folder, text in zip(own, shown, strict=True):
        assert re.search(rf"\d of \d pieces are not in {folder}, since other processes have folders of their own", text)
        assert not (folder / "rows.parquet").exists()
    shutil.copytree(own[1], own[0], dirs_exist_ok=True)
    evaluate(bundle_dir, "hc18", root, own[0], **network)
    one, *others = (
        (folder / "rows.parquet").read_bytes() for folder in (tmp_path / "one", shared["output_dir"], own[0])
    )
    assert others == [one, one]
    assert {path.name for path in (own[0] / "shards").iterdir()} == pieces[0] | pieces[1]
    assert not list(shared["output_dir"].glob(".seen-*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper_table1", "paper_table2_ablation", "paper_table3_alfi"])
def test_experiments_of_the_paper_end_with_its_tables(
    bundle_dir: Path, tmp_path: Path, network: dict[str, Any], name: str
) -> None:
    names = ("alfi",) if name == "paper_table3_alfi" else ("amos_ct", "hc18")
    for dataset in names:
        REPLICAS[dataset](tmp_path / "data")
    files = dict.fromkeys(["paper_table1.yaml", f"{name}.yaml"])
    parser = ConfigParser(ConfigParser.load_config_files([EXPERIMENTS / file for file in files]))
    published = {"paper_table1": ["SAM", "SynthFM"], "paper_table2_ablation": ["shape", "boundary", "both"]}
    labels = published.get(name, ["MedSAM", "SynthFM"])
    # the config's own labels, on a network that needs no weights
    given = ["synthfm_checkpoint"] if name != "paper_table2_ablation" else labels
    (tmp_path / "model.pt").touch()
    parser.update(dict.fromkeys(given, str(tmp_path / "model.pt")))
    assert [model.name for model in parser.get_parsed_content("models")] == labels
    # a decoder that is not given is left out, not replaced by the published one
    parser.update({given[-1]: None})
    parser.parse(True)
    assert [model.name for model in parser.get_parsed_content("models")] == labels[:-1]
    parser.read_config(parser.get())
    model = {"_target_": "monai_synthfm.evaluation.predictors.NetworkPredictor", "network": network["network_def"]}
    parser.update(
        {
            "data_dir": str(tmp_path / "data"),
            "output_dir": str(tmp_path / "eval"),
            "image_size": 64,
            "models": [{**model, "name": label} for label in labels],
            "runner#on_fault": "skip",
            "runner#report#gallery": False,
            "slices": "largest",
            "slicer#preprocessing": {
                "_target_": "monai_synthfm.data.case_preprocessing.MedSAMPreprocessing",
                "min_voxels": 8,
                "min_pixels": 2,
            },
            "datasets": [f"@{dataset}" for dataset in names],
            **{f"{dataset}#section": None for dataset in names},
            **{f"{dataset}#on_fault": "skip" for dataset in names},
        }
    )
    parser.get_parsed_content("run")
    rows = read_rows(tmp_path / "eval")
    assert set(rows.model) == set(labels)
    number = name[len("paper_table")]
    assert (tmp_path / "eval" / "report" / f"paper_table{number}.csv").is_file()


def test_the_development_evaluation_lays_single_masks_and_the_best_of_three_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "model.pt").touch()
    parser = ConfigParser(ConfigParser.load_config_file(EXPERIMENTS / "dev_shared.yaml"))
    parser.update({"synthfm_checkpoint": str(tmp_path / "model.pt")})
    rows = [row for row in parser.get("models") if "zoom" not in row["label"]]
    single, of_three = rows[::2], rows[1::2]
    assert "SynthFM" in {row["label"] for row in single}
    for one, other in zip(single, of_three, strict=True):
        added = {"label": f"{one['label']}, best of three", "multimask": "single_click"}
        assert other == {**one, **added}
    assert [model.name for model in parser.get_parsed_content("models") if "zoom" not in model.name] == [
        row["label"] for row in rows
    ]


def test_table_1_has_the_best_of_three_where_asked(tmp_path: Path) -> None:
    (tmp_path / "model.pt").touch()
    parser = ConfigParser(ConfigParser.load_config_file(EXPERIMENTS / "paper_table1.yaml"))
    parser.update({"synthfm_checkpoint": str(tmp_path / "model.pt"), "best_of_three": True})
    names = ["SAM", "SynthFM", "SAM, best of three", "SynthFM, best of three"]
    assert [model.name for model in parser.get_parsed_content("models")] == names


@pytest.mark.slow
def test_an_experiment_compares_models_on_datasets(tmp_path: Path, network: dict[str, Any]) -> None:
    parser = ConfigParser(ConfigParser.load_config_file(EXPERIMENTS / "dev_shared.yaml"))
    model = {"_target_": "monai_synthfm.evaluation.predictors.NetworkPredictor", "network": network["network_def"]}
    parser.update(
        {
            "dataset_dir": str(write_indexed(tmp_path)),
            "output_dir": str(tmp_path / "eval"),
            "models": [{**model, "name": name} for name in ("first", "second")],
        }
    )
    parser.get_parsed_content("run")
    rows = read_rows(tmp_path / "eval")
    assert set(rows.model) == {"first", "second"}
    first, second = (rows[rows.model == name].dsc.to_numpy() for name in ("first", "second"))
    assert (first == second).all()
    assert "interactive-10" in set(rows.prompts)
    assert (tmp_path / "eval" / "report" / "comparisons.csv").is_file()

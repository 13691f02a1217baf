# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Ready networks from one name or file, and what is refused because a file says otherwise."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_synthfm import __version__, bundle_path
from monai_synthfm.networks import (
    MobileSam,
    MobileSam2,
    Promptable,
    Sam,
    Sam2,
    ViTSize,
    export_decoder,
    open_network,
    prepare,
)
from monai_synthfm.networks.weights.files import read_weights
from monai_synthfm.networks.weights.fingerprint import VERSION, describe_network, file_settings, state_sha256
from monai_synthfm.networks.weights.known_models import MODELS, KnownModel
from tests.networks.upstream_sam2 import SMALL

TINY = ViTSize(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,))
BUILT: dict[str, Callable[[], Promptable]] = {
    "Sam": lambda: Sam(TINY, image_size=64, preprocessing="medsam"),
    "MobileSam": lambda: MobileSam(image_size=64, preprocessing="contrast"),
    "Sam2": lambda: Sam2(SMALL["2.0"], image_size=128, preprocessing="contrast"),
    "MobileSam2": lambda: MobileSam2(image_size=64, preprocessing="sam", skips=False, carry_mask=False),
}


def written(trained: Promptable, path: Path, **changes: Any) -> Path:
    torch.save({"model": trained.state_dict(), "settings": {**file_settings(trained), **changes}}, path)
    return path


@pytest.fixture
def encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MobileSam:
    """Random weights in place of the published ones of MobileSAM."""
    network = MobileSam(image_size=64)
    torch.save(network.state_dict(), tmp_path / "published.pt")
    monkeypatch.setitem(MODELS, "minisam", KnownModel(MobileSam, str(tmp_path / "published.pt")))
    return network


@pytest.fixture
def decoder(tmp_path: Path, encoders: MobileSam) -> Path:
    """A decoder trained on these weights."""
    trained = prepare(MobileSam(64, "contrast"), pretrained=str(tmp_path / "published.pt"), reset_decoder=True, seed=1)
    export_decoder(written(trained, tmp_path / "model.pt"), tmp_path / "decoder.pt")
    return tmp_path / "decoder.pt"


@pytest.mark.parametrize("name", BUILT)
def test_a_file_of_a_whole_network_makes_that_network(tmp_path: Path, name: str) -> None:
    network = BUILT[name]()
    network.combines_prompts = False
    opened = open_network(written(network, tmp_path / "model.pt"))
    assert describe_network(opened) == describe_network(network)
    assert not opened.training
    assert opened.weight_files == (tmp_path / "model.pt",)


def test_a_decoder_alone_goes_on_the_published_encoders(tmp_path: Path, encoders: MobileSam, decoder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = open_network(str(decoder), multimask="always")
    assert (opened.image_size, opened.preprocessing, opened.multimask) == (64, "contrast", "always")
    given = read_weights(decoder)[0]
    for key, value in encoders.state_dict().items():
        assert torch.equal(opened.state_dict()[key], given[key].float() if key in given else value)
    assert opened.weight_files == (tmp_path / "published.pt", decoder)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"image_size": 128}, r"decoder\.pt: trained with image_size=64, it cannot be opened with 128\."),
        ({"preprocessing": "sam"}, r"trained with preprocessing='contrast', it cannot be opened with 'sam'\."),
        ({"tracking_multimask": "never"}, r"MobileSam has no tracking_multimask, got 'never'\."),
    ],
)
def test_what_a_file_says_is_not_overruled(decoder: Path, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_network(decoder, **asked)
    open_network(decoder, image_size=64, preprocessing="contrast")


def test_a_decoder_refuses_another_image_encoder_than_that_of_its_training(tmp_path: Path, decoder: Path) -> None:
    torch.save(MobileSam(image_size=64).state_dict(), tmp_path / "other.pt")
    message = r"decoder\.pt: trained on another image encoder than that of .*other\.pt; give the right one as encoder"
    with pytest.raises(ValueError, match=message):
        open_network(decoder, encoder=tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"model\.pt: .*other\.pt; leave encoder out, the file has its own"):
        open_network(tmp_path / "model.pt", encoder=tmp_path / "other.pt")
    same = open_network(tmp_path / "model.pt", encoder=tmp_path / "published.pt")
    assert state_sha256(same) == state_sha256(open_network(tmp_path / "model.pt"))


def test_position_embeddings_may_be_rounded_otherwise_but_other_weights_may_not(tmp_path: Path) -> None:
    network = Sam(TINY, image_size=64)
    said = file_settings(network)["image_encoder_sha256"]
    with torch.no_grad():
        network.image_encoder.pos_embed[0, 0, 0, 0] += 1e-6
        network.image_encoder.blocks[0].attn.rel_pos_h[0, 0] += 1e-6
    assert open_network(written(network, tmp_path / "model.pt", image_encoder_sha256=said)).image_size == 64
    with torch.no_grad():
        network.image_encoder.blocks[0].attn.qkv.bias[0] += 1e-6
    with pytest.raises(ValueError, match="trained on another image encoder"):
        open_network(written(network, tmp_path / "model.pt", image_encoder_sha256=said))


def test_the_decoder_that_came_with_the_encoder_carries_on_unless_the_file_has_one_for_that(
    tmp_path: Path, encoders: MobileSam, decoder: Path
) -> None:
    def same(one: torch.nn.Module | None, other: dict[str, torch.Tensor]) -> bool:
        return one is not None and all(torch.equal(value, other[key]) for key, value in one.state_dict().items())

    published = encoders.mask_decoder.state_dict()
    network = open_network(decoder)
    assert same(network.carry_decoder, published)
    assert not same(network.decoder, published)
    assert not network.carry_decoder.training
    export_decoder(decoder, tmp_path / "both.pt", carry=decoder)
    assert same(open_network(tmp_path / "both.pt").carry_decoder, network.decoder.state_dict())
    assert open_network("minisam").carry_decoder is None
    with pytest.warns(UserWarning, match="does not say"):
        assert open_network(tmp_path / "published.pt").carry_decoder is None


def test_a_file_that_says_nothing_is_opened_with_one_warning_of_what_is_assumed(
    tmp_path: Path, encoders: MobileSam
) -> None:
    torch.save({"model": dict(MobileSam(image_size=64).state_dict())}, tmp_path / "old.pt")  # without metadata
    message = r"old\.pt does not say .* MobileSam with image_size=128, preprocessing='sam' and its own encoders"
    with pytest.warns(UserWarning, match=message) as caught:
        opened = open_network(tmp_path / "old.pt", image_size=128)
    assert len(caught) == 1
    assert (opened.image_size, opened.combines_prompts) == (128, False)
    decoder = {key: value for key, value in opened.state_dict().items() if key.startswith("mask_decoder.")}
    torch.save({"model": decoder, "settings": {"preprocessing": "contrast"}}, tmp_path / "old.pt")
    with pytest.warns(UserWarning, match=r"image_size=1024, preprocessing='contrast' and the encoders of minisam"):
        opened = open_network(tmp_path / "old.pt")
    assert state_sha256(opened.image_encoder) == state_sha256(encoders.image_encoder)
    message = "trained with preprocessing='contrast', it cannot be opened with 'sam'"
    with pytest.warns(UserWarning, match="does not say"), pytest.raises(ValueError, match=message):
        open_network(tmp_path / "old.pt", preprocessing="sam")


def test_a_known_name_is_the_published_network_at_its_own_size(encoders: MobileSam) -> None:
    opened = open_network("minisam")
    assert (opened.image_size, opened.preprocessing, opened.combines_prompts) == (1024, "sam", True)
    assert state_sha256(opened) == state_sha256(encoders)
    assert open_network("minisam", image_size=64, preprocessing="contrast").preprocessing == "contrast"
    with pytest.raises(ValueError, match="model minisam has an encoder of its own"):
        open_network("minisam", encoder="sam_vit_b")
    with pytest.raises(ValueError, match="model medsam needs the file of its published weights"):
        open_network("medsam")


@pytest.mark.parametrize(
    ("name", "network"), [("sam_vit_b", lambda: Sam(TINY)), ("sam2.1_hiera_tiny", lambda: Sam2(SMALL["2.1"]))]
)
def test_published_networks_read_contrast_channels_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, network: Callable[[], Promptable]
) -> None:
    tiny, size = network(), TINY if name == "sam_vit_b" else SMALL["2.1"]
    torch.save(tiny.state_dict(), tmp_path / "published.pt")
    known = KnownModel(type(tiny), str(tmp_path / "published.pt"), options={"model": size})
    monkeypatch.setitem(MODELS, name, known)
    for preprocessing in ("sam", "contrast"):
        asked = {} if preprocessing == "sam" else {"preprocessing": preprocessing}
        opened = open_network(name, image_size=64, **asked)
        assert file_settings(opened)["preprocessing"] == describe_network(opened)["preprocessing"] == preprocessing
        again = open_network(written(opened, tmp_path / "model.pt"))
        assert describe_network(again) == describe_network(opened)


def test_a_file_of_sam2_that_says_no_channels_was_trained_with_the_grey_image(tmp_path: Path) -> None:
    network = Sam2(SMALL["2.1"], image_size=64)
    settings = file_settings(network)
    del settings["preprocessing"]
    torch.save({"model": network.state_dict(), "settings": settings}, tmp_path / "model.pt")
    assert open_network(tmp_path / "model.pt").preprocessing == "sam"
    with pytest.raises(ValueError, match="trained with preprocessing='sam', it cannot be opened with 'contrast'"):
        open_network(tmp_path / "model.pt", preprocessing="contrast")


def test_files_of_unknown_networks_and_settings_are_refused(tmp_path: Path) -> None:
    network = MobileSam(image_size=64)
    with pytest.raises(ValueError, match="is of the network 'Unet', expected one of Sam, MobileSam, Sam2, MobileSam2"):
        open_network(written(network, tmp_path / "model.pt", network="Unet"))
    with pytest.raises(ValueError, match="MobileSam knows no setting depth: written by another version"):
        open_network(written(network, tmp_path / "model.pt", depth=3))


def test_what_is_neither_name_nor_file_is_refused_with_the_names() -> None:
    with pytest.raises(FileNotFoundError, match="network 'sam' is neither a file nor one of synthfm, synthfm_3d, "):
        open_network("sam")
    with pytest.raises(FileNotFoundError, match=r"network '~nobody-of-this-name/net\.pt' is neither a file nor one of"):
        open_network("~nobody-of-this-name/net.pt")


def test_a_shipped_network_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_synthfm.networks.open.bundle_path", lambda name: tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"network synthfm_3d needs .*synthfm_sam2_3d/models/model\.pt"):
        open_network("synthfm_3d")


def test_the_shipped_network_opens_as_its_file_says(minisam_weights: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = open_network("synthfm")
    assert (network.image_size, network.preprocessing, network.combines_prompts) == (512, "contrast", True)
    shipped, settings = read_weights(bundle_path("synthfm_sam") / "models" / "model.pt")
    assert {**settings, VERSION: __version__} == file_settings(network)
    assert all(torch.equal(network.state_dict()[key], value.float()) for key, value in shipped.items())

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A decoder passed on in its own file does what it did in its network."""

from __future__ import annotations

import hashlib

import pytest
import torch

from monai_synthfm.networks import MobileSam, export_decoder, load_state, prepare
from monai_synthfm.networks.weights.files import read_weights
from monai_synthfm.networks.weights.fingerprint import file_settings


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(prepare(MobileSam(image_size=64), reset_decoder=True, seed=3).state_dict(), path)
    return path


def test_only_the_decoder_is_in_the_file_and_rounded_to_half(checkpoint, tmp_path):
    digest = export_decoder(checkpoint, tmp_path / "out" / "decoder.pt")
    file = tmp_path / "out" / "decoder.pt"
    written = load_state(file)
    whole = {key: value for key, value in torch.load(checkpoint, weights_only=True).items() if "mask_decoder" in key}
    assert set(written) == set(whole)
    assert all(torch.equal(written[key], whole[key].half()) for key in whole)
    assert digest == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_network_with_the_file_predicts_as_the_trained_one(checkpoint, tmp_path):
    export_decoder(checkpoint, tmp_path / "decoder.pt")
    torch.manual_seed(0)
    trained = prepare(MobileSam(image_size=64), checkpoint=checkpoint).eval()
    other = prepare(MobileSam(image_size=64), pretrained=checkpoint, reset_decoder=True, seed=4)
    other.load_checkpoint(tmp_path / "decoder.pt")
    image = torch.rand(1, 1, 64, 64)
    click = {"points": torch.full((1, 1, 1, 2), 30.0), "point_labels": torch.ones(1, 1, 1)}
    with torch.no_grad():
        one, two = trained(image, **click), other.eval()(image, **click)
    assert float((one - two).abs().max()) < 0.01 * float(one.std()) + 1e-4


def test_a_checkpoint_without_a_decoder_is_refused_and_nothing_is_written(tmp_path):
    torch.save({"image_encoder.weight": torch.zeros(2)}, tmp_path / "encoder.pt")
    with pytest.raises(ValueError, match="there is no mask decoder"):
        export_decoder(tmp_path / "encoder.pt", tmp_path / "out" / "decoder.pt")
    assert not (tmp_path / "out").exists()


def test_weights_beyond_half_precision_are_refused(tmp_path):
    torch.save({"mask_decoder.weight": torch.full((2,), 1e6)}, tmp_path / "huge.pt")
    with pytest.raises(ValueError, match=r"mask_decoder\.weight do not fit half precision"):
        export_decoder(tmp_path / "huge.pt", tmp_path / "decoder.pt")


def test_a_network_of_another_preprocessing_refuses_the_file_unless_it_is_to_train_on(checkpoint, tmp_path):
    other = MobileSam(image_size=64, preprocessing="contrast")
    export_decoder(checkpoint, tmp_path / "decoder.pt", other)
    with pytest.raises(ValueError, match=r"trained with preprocessing='contrast', but this network has 'sam'"):
        prepare(MobileSam(image_size=64), checkpoint=tmp_path / "decoder.pt")
    training = MobileSam(image_size=64)
    training.load_checkpoint(tmp_path / "decoder.pt", any_preprocessing=True)
    decoder = load_state(tmp_path / "decoder.pt")
    for network in (
        training,
        prepare(MobileSam(image_size=64, preprocessing="contrast"), checkpoint=tmp_path / "decoder.pt"),
    ):
        assert all(torch.equal(value, network.state_dict()[key].half()) for key, value in decoder.items())


@pytest.mark.parametrize("combines", [False, True])
def test_the_file_says_whether_the_decoder_combines_prompts(checkpoint, tmp_path, combines):
    network = MobileSam(image_size=64)
    network.combines_prompts = combines
    export_decoder(checkpoint, tmp_path / "decoder.pt", network)
    assert prepare(MobileSam(image_size=64), checkpoint=tmp_path / "decoder.pt").combines_prompts is combines
    assert not prepare(MobileSam(image_size=64), checkpoint=checkpoint).combines_prompts


def test_the_file_repeats_what_the_files_of_a_training_say(tmp_path):
    network = MobileSam(image_size=64, preprocessing="contrast")
    settings = file_settings(network)
    paths = [tmp_path / name for name in ("one.pt", "two.pt")]
    for path, version in zip(paths, ("0.0.1", "0.0.2"), strict=True):
        torch.save({"model": network.state_dict(), "settings": {**settings, "monai_synthfm": version}}, path)
    export_decoder(paths, tmp_path / "decoder.pt")
    assert read_weights(tmp_path / "decoder.pt")[1] == settings
    torch.save({"model": network.state_dict(), "settings": {**settings, "image_size": 128}}, paths[1])
    with pytest.raises(ValueError, match=r"two\.pt: its settings differ from those of .*one\.pt: image_size"):
        export_decoder(paths, tmp_path / "decoder.pt")


def test_a_written_file_is_written_again_bit_for_bit(checkpoint, tmp_path):
    export_decoder(checkpoint, tmp_path / "decoder.pt")
    before = load_state(tmp_path / "decoder.pt")
    export_decoder(tmp_path / "decoder.pt", tmp_path / "decoder.pt", MobileSam(image_size=64))
    after = load_state(tmp_path / "decoder.pt")
    assert list(before) == list(after)
    assert all(torch.equal(value, after[key]) and value.dtype == after[key].dtype for key, value in before.items())


def test_of_several_checkpoints_the_mean_is_written(checkpoint, tmp_path):
    torch.save(prepare(MobileSam(image_size=64), reset_decoder=True, seed=4).state_dict(), tmp_path / "other.pt")
    export_decoder([checkpoint, tmp_path / "other.pt"], tmp_path / "decoder.pt")
    first, other = load_state(checkpoint), load_state(tmp_path / "other.pt")
    written = load_state(tmp_path / "decoder.pt")
    assert all(torch.equal(value, ((first[key] + other[key]) / 2).half()) for key, value in written.items())


def test_of_no_checkpoint_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match="at least one file"):
        export_decoder([], tmp_path / "decoder.pt")
    assert not (tmp_path / "decoder.pt").exists()


def test_decoders_that_are_not_alike_have_no_mean(checkpoint, tmp_path):
    torch.save({"mask_decoder.weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt: its mask decoder is another one"):
        export_decoder([checkpoint, tmp_path / "other.pt"], tmp_path / "decoder.pt")

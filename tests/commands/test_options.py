# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from typing import Any

import pytest

from monai_synthfm.commands import BundleOptions

CONFIG: dict[str, Any] = {
    "modality": "auto",
    "output_dir": "$@root + '/out'",
    "root": ".",
    "checkpoint": None,
    "size": 64,
    "slice_size": "@size",
    "amp": "$@device == 'cuda'",
    "device": "cpu",
    "reset": "$@checkpoint is None",
    "resume": "$__import__('pathlib').Path(@output_dir).is_dir()",
    "options": {"section": None},
    "forgotten": 1,
    "train": {
        "dataset": {"_target_": "monai_synthfm.data.SynthFMDataset", "length": 4, "spatial_size": ["@slice_size"] * 2},
        "loader": {"_target_": "DataLoader", "dataset": "@train#dataset", "shuffle": False},
        "network": {"_target_": "monai_synthfm.networks.MobileSam", "image_size": "@size"},
        "start": {"_target_": "monai_synthfm.networks.prepare", "network": "@train#network", "reset_decoder": "@reset"},
    },
    "run": [
        "$print(@train::loader, @train::start, @modality, @output_dir, @amp, @resume)",
        {"_target_": "dict", "options": "@options"},
    ],
}


def read(**given: Any) -> dict[str, Any]:
    return BundleOptions(CONFIG).read(given)


@pytest.mark.parametrize("name", ["amp", "reset", "resume", "train#start#reset_decoder", "train::loader::shuffle"])
def test_switches_are_known_by_their_value_or_by_the_question_they_ask(name: str) -> None:
    assert read(**{name: "no"}) == {name: False}


def test_switches_that_the_config_leaves_out_are_known_by_the_annotation_of_the_argument() -> None:
    assert read(**{"run#1#_disabled_": "false"}) == {"run#1#_disabled_": False}
    network = {"_target_": "monai_synthfm.networks.Sam", "model": "vit_b"}
    config = {"run": [{"_target_": "monai_synthfm.networks.prepare", "network": network}]}
    assert BundleOptions(config).read({"run#0#reset_decoder": "off", "run#0#network#image_size": "64"}) == {
        "run#0#reset_decoder": False,
        "run#0#network#image_size": 64,
    }


def test_what_a_function_answers_with_yes_or_no_is_a_switch() -> None:
    curves = {"_target_": "monai_synthfm.handlers.tensorboard_curves.curves_are_written"}
    config = {"curves": curves, "network": {"_target_": "dict"}, "run": ["@curves", "@network"]}
    assert BundleOptions(config).read({"curves": "no", "network": "[1]"}) == {"curves": False, "network": [1]}


def test_an_option_is_what_it_refers_to() -> None:
    assert read(slice_size="128", output_dir="1e5", checkpoint="0x10") == {
        "slice_size": 128,
        "output_dir": "1e5",
        "checkpoint": "0x10",
    }


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("modalty", "modality"),
        ("train#network#imagesize", "train::network::image_size"),
        ("train#network#multi_mask", "train::network::multimask"),
        ("train#loder#shuffle", "train::loader"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest(given: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"^there is no option '{given}'; did you mean '{nearest}'\\?$"):
        read(**{given: "1"})


def test_an_option_that_is_like_no_other_is_refused_without_a_guess() -> None:
    with pytest.raises(ValueError, match=r"^there is no option 'xyzzy'\.$"):
        read(xyzzy="1")


def test_an_option_without_a_value_is_a_number_where_an_argument_takes_one() -> None:
    network = {"_target_": "monai_synthfm.networks.open_network", "name_or_file": "@file", "image_size": "@size"}
    options = BundleOptions({"file": None, "size": None, "network": network, "run": ["@network"]})
    assert options.read({"file": "128", "size": "128"}) == {"file": "128", "size": 128}


def test_settings_that_are_handed_on_as_they_are_take_any_name() -> None:
    assert read(**{"options::structures": "{'liver': 1}"}) == {"options::structures": {"liver": 1}}


def test_an_option_that_nothing_refers_to_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("option 'forgotten' does nothing here")):
        read(forgotten="2")
    with pytest.raises(ValueError, match="option 'device' does nothing here"):
        read(amp="true", device="cuda")


def test_what_every_bundle_has_may_do_nothing() -> None:
    config = {"bundle_root": ".", "dataset_dir": ".", "run": []}
    assert BundleOptions(config).read({"bundle_root": "b", "dataset_dir": "d"}) == {
        "bundle_root": "b",
        "dataset_dir": "d",
    }


def test_what_an_expression_makes_a_text_takes_texts() -> None:
    config = {"bundle_root": "$str(print)", "output_dir": "$'runs'", "run": ["$@output_dir"]}
    assert BundleOptions(config).read({"bundle_root": "007", "output_dir": "1e5"}) == {
        "bundle_root": "007",
        "output_dir": "1e5",
    }


def test_values_that_are_no_texts_stay() -> None:
    assert read(size=32, checkpoint=None) == {"size": 32, "checkpoint": "$None"}


def test_the_config_is_left_as_it_was() -> None:
    options = BundleOptions(CONFIG)
    options.read({"train#network#image_size": "8"})
    assert options.parser["train"]["network"]["image_size"] == CONFIG["train"]["network"]["image_size"] == "@size"

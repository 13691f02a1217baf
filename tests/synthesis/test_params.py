# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Parameters survive JSON exactly, and say clearly what is wrong with a text that is not theirs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_synthfm.synthesis.anatomy import AnatomyParams, PartParams
from monai_synthfm.synthesis.appearance import AppearanceParams, NoiseParams, TextureParams
from monai_synthfm.synthesis.bezier import BezierShapesParams, EllipseParams
from monai_synthfm.synthesis.boundaries import BoundaryParams, CanvasParams
from monai_synthfm.synthesis.label_maps import LabelMapParams
from monai_synthfm.synthesis.outlines import OutlineParams
from monai_synthfm.synthesis.synthfm import SampleParams

numbers = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers(0, 2**31)
pairs = st.tuples(numbers, numbers)
ellipses = st.builds(EllipseParams, pairs, pairs, numbers)
shapes = st.lists(st.tuples(st.lists(pairs, max_size=4).map(tuple), st.booleans()), max_size=3).flatmap(
    lambda drawn: st.builds(
        BezierShapesParams,
        st.tuples(integers, integers),
        st.just(tuple(outline for outline, _ in drawn)),
        st.just(tuple(behind for _, behind in drawn)),
        st.none() | ellipses,
    )
)
tuples = st.lists(numbers, max_size=4).map(tuple)
label_maps = st.builds(LabelMapParams, st.just((8, 9, 10)), integers, tuples, tuples, numbers, integers, integers)
boundaries = st.builds(BoundaryParams, label_maps, st.lists(integers, max_size=4).map(tuple))
canvases = st.builds(CanvasParams, numbers, numbers, numbers, pairs, numbers, integers)
textures = st.builds(TextureParams, st.sampled_from(["perlin", "grain"]), numbers, tuples, integers)
noises = st.builds(NoiseParams, st.sampled_from(["gaussian", "poisson"]), numbers, numbers, integers)
appearances = st.builds(
    AppearanceParams,
    tuples | canvases,
    st.lists(textures, max_size=2).map(tuple),
    numbers,
    st.lists(noises, max_size=2).map(tuple),
)
samples = st.builds(SampleParams, st.just((64, 48)), shapes | boundaries, appearances)

CANVAS = {"low": 0.1, "high": 0.2, "scatter": 0.0, "interval": [0.0, 1.0], "shift": 0.1, "seed": 3}


@given(samples)
def test_json_round_trip_is_exact(params: SampleParams) -> None:
    assert SampleParams.parse(params.to_json()) == params


@given(samples)
def test_parse_takes_the_dictionary_that_the_text_stands_for(params: SampleParams) -> None:
    assert SampleParams.parse(json.loads(params.to_json())) == params
    assert SampleParams.parse(asdict(params)) == params
    assert SampleParams.parse(params) is params


def test_the_text_is_one_line_of_json() -> None:
    text = CanvasParams.parse(CANVAS).to_json()
    assert "\n" not in text
    assert json.loads(text) == CANVAS


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{low: 1", "CanvasParams must be JSON text"),
        ("[1, 2]", "must have the fields .*'high'.*got list"),
        ({key: value for key, value in CANVAS.items() if key != "seed"}, "must have the fields .*'seed'"),
        ({**CANVAS, "gamma": 1.0}, "got .*'gamma'"),
        ({**CANVAS, "low": "0.1"}, "low of CanvasParams must hold float, got '0.1'"),
        ({**CANVAS, "low": None}, "low of CanvasParams must hold float, got None"),
        ({**CANVAS, "seed": 1.5}, "seed of CanvasParams must hold int, got 1.5"),
        ({**CANVAS, "seed": True}, "seed of CanvasParams must hold int, got True"),
        ({**CANVAS, "interval": [0.0]}, "interval of CanvasParams must be a list of 2, got"),
        ({**CANVAS, "interval": 1.0}, "interval of CanvasParams must be a list of 2, got 1.0"),
        ({**CANVAS, "interval": [0.0, "a"]}, "interval of CanvasParams must hold float, got 'a'"),
    ],
)
def test_wrong_parameters_are_named(source: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CanvasParams.parse(source)


def test_a_structure_of_no_known_kind_is_refused() -> None:
    appearance = {"base": [0.5], "textures": [], "blur": 0.0, "noises": []}
    with pytest.raises(ValueError, match="must have the fields"):
        SampleParams.parse({"spatial_size": [8, 8], "structure": {"unknown": 1}, "appearance": appearance})


def test_fields_with_a_default_may_be_missing_as_in_samples_made_before_they_came() -> None:
    outline = OutlineParams((0.5, 0.5), 0.3, 1.0, 2.0, (), 0.0, 0.0, False)
    params = AnatomyParams((8, 8), (PartParams(outline, parent=0, wall=0.0, gaps=(), label=1, wall_label=1),))
    earlier = {key: value for key, value in asdict(params).items() if key != "joint"}
    assert AnatomyParams.parse(earlier) == params
    with pytest.raises(ValueError, match="must have the fields"):
        AnatomyParams.parse({"parts": earlier["parts"]})

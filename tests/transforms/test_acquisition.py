# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random scanners: reproducible, within their ranges, and nothing to be seen outside the field of view."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_synthfm.synthesis.acquisition import AcquisitionParams, field_of_view
from monai_synthfm.transforms import RandAcquisition, RandSynthFM

IMAGE = torch.rand(1, 40, 56, generator=torch.Generator().manual_seed(0))


@settings(max_examples=40)
@given(st.integers(0, 2**31 - 1))
def test_an_image_replays_bit_for_bit_and_stays_in_range(seed):
    acquisition = RandAcquisition().set_random_state(seed=seed)
    image = acquisition(IMAGE)
    assert AcquisitionParams.parse(image.meta["synthfm"]) == acquisition.params
    assert (acquisition.replay(IMAGE, image.meta["synthfm"]) == image).all()
    assert torch.isfinite(image).all()
    assert 0 <= float(image.min()) <= float(image.max()) <= 1


def test_probabilities_of_0_switch_parts_off():
    acquisition = RandAcquisition(ultrasound_prob=0.0, shading_prob=0.0, field_prob=0.0).set_random_state(seed=0)
    for _ in range(20):
        acquisition.randomize((40, 40))
        params = acquisition.params
        assert params.shading is params.ultrasound is params.field is None


def test_no_target_lies_outside_the_field_of_view():
    scanner = RandAcquisition(ultrasound_prob=1.0, field_prob=1.0)
    generator = RandSynthFM((64, 64), module="anatomy", native_size=None, acquisition=scanner).set_random_state(seed=0)
    for _ in range(10):
        image, labels = generator()
        visible = field_of_view(generator.params.acquisition.field, labels[0].shape, labels.device)
        assert not labels[0][~visible].any()
        assert not image[0][~visible].any()


@pytest.mark.parametrize("argument", [{"gamma": (2.0, 1.0)}, {"ultrasound_prob": 2.0}, {"saturation": (0.1, 0.9)}])
def test_wrong_arguments_are_named(argument):
    with pytest.raises(ValueError, match=next(iter(argument))):
        RandAcquisition(**argument)


def test_an_image_stays_where_it_lies():
    source = MetaTensor(IMAGE, affine=torch.diag(torch.tensor([2.0, 3.0, 1.0])), meta={"filename_or_obj": "ct.png"})
    acquisition = RandAcquisition().set_random_state(seed=0)
    image = acquisition(source)
    assert torch.equal(image.affine, source.affine)
    assert image.meta["filename_or_obj"] == "ct.png"
    assert AcquisitionParams.parse(image.meta["synthfm"]) == acquisition.params
    assert "synthfm" not in source.meta


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(3, 40, 56), r"image must be one channel in 2D, \[1, H, W\], got shape \(3, 40, 56\)"),
        (torch.rand(40, 56), r"image must be one channel in 2D, \[1, H, W\], got shape \(40, 56\)"),
        (torch.rand(1, 40, 56, 8), r"got shape \(1, 40, 56, 8\)"),
        (torch.rand(1, 1, 40, 56), r"got shape \(1, 1, 40, 56\)"),
        (torch.rand(1, 0, 56), r"got shape \(1, 0, 56\)"),
        (
            IMAGE.where(IMAGE < 0.9, torch.nan),
            r"image must hold finite numbers, got \d+ NaN or infinite of 2240 pixels",
        ),
        (IMAGE.where(IMAGE < 0.9, torch.inf), "image must hold finite numbers"),
        (IMAGE - 2.0, "image must hold intensities of 0 or more, got -1.99"),
    ],
)
def test_what_no_scanner_can_show_is_refused_before_anything_is_drawn(image, message):
    acquisition = RandAcquisition().set_random_state(seed=0)
    before = acquisition.R.get_state()[1].tolist()
    for call in (acquisition, acquisition.replay):
        arguments = (image,) if call is acquisition else (image, AcquisitionParams(None, None, (0.0, 1.0), 1.0, None))
        with pytest.raises(ValueError, match=message):
            call(*arguments)
    assert acquisition.R.get_state()[1].tolist() == before


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int32, torch.float64, torch.float16])
def test_grey_levels_of_any_type_show_what_the_same_intensities_show(kind):
    levels = (IMAGE * 255).round()
    for seed in range(8):
        expected = RandAcquisition().set_random_state(seed=seed)(levels / 255)
        found = RandAcquisition().set_random_state(seed=seed)(levels.to(kind))
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.as_tensor(), expected.as_tensor(), atol=1e-3, rtol=0)

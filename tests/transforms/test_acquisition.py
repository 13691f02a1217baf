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


@settings(max_examples=40, deadline=None)
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

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Networks as torch.jit.trace and torch.export hold them, against the networks themselves on other values."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from monai_synthfm.networks import MobileSam, Promptable, Sam, Sam2, Zoom

from .conftest import TINY
from .upstream_sam2 import SMALL

pytestmark = pytest.mark.filterwarnings(
    "ignore::torch.jit.TracerWarning",
    # what many deployments still read
    "ignore:.torch.jit.trace(_method)?. is deprecated:FutureWarning",
    # sam2 keeps its position encodings between calls
    "ignore:The tensor attributes .*position_encoding.cache:UserWarning",
)

NETWORKS: dict[str, Callable[[], Promptable]] = {
    "mobile_sam contrast": lambda: MobileSam(image_size=64, preprocessing="contrast"),
    "sam medsam": lambda: Sam(
        TINY, image_size=64, preprocessing="medsam", multimask="single_click", objects_per_pass=2
    ),
    "sam": lambda: Sam(TINY, image_size=64),
    "sam2": lambda: Sam2(SMALL["2.1"], image_size=64, multimask="always"),
}


def given(kinds: str, seed: int) -> dict[str, torch.Tensor]:
    """A batch of two images with three objects, each with as many prompts of these kinds."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(2, 3, 2, generator=generator) * 15
    every = {
        "points": torch.rand(2, 3, 2, 2, generator=generator) * 40,
        "point_labels": torch.tensor([1, seed % 2]).expand(2, 3, 2),
        "boxes": torch.cat([corner, corner + 20], dim=-1),
        "masks": torch.randn(2, 3, 1, 16, 16, generator=generator),
    }
    names = {"clicks": ("points", "point_labels"), "box": ("boxes",), "mask": ("masks",)}
    prompts = {name: every[name] for kind in kinds.split() for name in names[kind]}
    return {"image": torch.rand(2, 1, 40, 52, generator=generator), **prompts}


def traced(network: Promptable, example: dict[str, torch.Tensor]) -> Callable[..., torch.Tensor]:
    return torch.jit.trace(network, example_kwarg_inputs=example, check_trace=False)


def exported(network: Promptable, example: dict[str, torch.Tensor]) -> Callable[..., torch.Tensor]:
    return torch.export.export(network, (), example, strict=False).module()


@pytest.mark.parametrize("way", [traced, exported])
@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("mobile_sam contrast", "clicks"),
        ("sam medsam", "box"),
        ("sam", "clicks box mask"),
        ("sam", ""),
        ("sam2", "clicks"),
        ("sam2", "mask"),
    ],
)
@torch.no_grad()
def test_a_trace_gives_what_the_network_gives_for_other_values(
    name: str, kinds: str, way: Callable[..., Callable[..., torch.Tensor]]
) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    followed = way(network, given(kinds, seed=0))
    for seed in (0, 1):
        inputs = given(kinds, seed)
        torch.testing.assert_close(followed(**inputs), network(**inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("point_labels", torch.tensor([1, -1]).expand(2, 3, 2)), ("boxes", torch.full((2, 3, 4), torch.nan))],
)
def test_a_trace_is_not_taken_from_padding(name: str, value: torch.Tensor) -> None:
    network = NETWORKS["sam"]().eval()
    with pytest.raises(ValueError, match="give it no padding clicks and no absent boxes"):
        traced(network, {**given("clicks box", 0), name: value})


@pytest.mark.parametrize("way", [traced, exported])
def test_a_second_look_says_that_no_trace_follows_it(way: Callable[..., Callable[..., torch.Tensor]]) -> None:
    with pytest.raises(RuntimeError, match="trace the network within"):
        way(Zoom(NETWORKS["sam"]()).eval(), given("box", 0))

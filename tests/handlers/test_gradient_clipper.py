# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Gradients are limited."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine

from monai_synthfm.handlers.gradient_clipper import GradientClipper
from tests.handlers.trainers import make_trainer


def test_gradients_above_the_limit_are_scaled_to_it_and_others_left() -> None:
    parameter = torch.nn.Parameter(torch.zeros(4))
    clipper = GradientClipper([parameter], max_norm=1.0)
    parameter.grad = torch.tensor([3.0, 0.0, 4.0, 0.0])
    clipper(Engine(lambda engine, batch: None))
    torch.testing.assert_close(parameter.grad, torch.tensor([0.6, 0.0, 0.8, 0.0]))
    parameter.grad = torch.tensor([0.3, 0.0, 0.4, 0.0])
    clipper(Engine(lambda engine, batch: None))
    torch.testing.assert_close(parameter.grad, torch.tensor([0.3, 0.0, 0.4, 0.0]))


def test_clipping_happens_between_backward_pass_and_update() -> None:
    network = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    start = [parameter.detach().clone() for parameter in network.parameters()]
    trainer = make_trainer([GradientClipper(network.parameters(), max_norm=1e-3)], network, optimizer, epochs=1)
    trainer.run()
    moved = torch.cat([(now - then).flatten() for now, then in zip(network.parameters(), start, strict=True)]).norm()
    assert 0 < moved <= 2 * 1.001e-3  # two updates of at most the limit


def test_clipping_needs_a_positive_limit() -> None:
    with pytest.raises(ValueError, match=r"max_norm must be above 0, got 0"):
        GradientClipper([], max_norm=0)

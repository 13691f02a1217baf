# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Mixed precision on the input's own device."""

from __future__ import annotations

import pytest
import torch

from monai_synthfm.inferers import AutocastInferer


class Recorder(torch.nn.Module):
    """Keeps the precision of its own product and what it was given."""

    def forward(self, image: torch.Tensor, scale: float, *, shift: float) -> torch.Tensor:
        result = image @ image * scale + shift
        self.dtype = (image @ image).dtype
        return result


@pytest.mark.parametrize(("amp", "inside"), [(True, torch.bfloat16), (False, torch.float32)])
def test_the_network_runs_in_bfloat16_only_with_amp_and_the_result_is_float32(amp: bool, inside: torch.dtype) -> None:
    network = Recorder()
    result = AutocastInferer(amp=amp)(torch.eye(2), network, 3.0, shift=1.0)
    assert network.dtype == inside
    torch.testing.assert_close(result, torch.tensor([[4.0, 1.0], [1.0, 4.0]]))


def test_gradients_reach_the_parameters_through_autocast() -> None:
    layer = torch.nn.Linear(2, 1, bias=False)
    AutocastInferer()(torch.tensor([[2.0, 3.0]]), layer).sum().backward()
    torch.testing.assert_close(layer.weight.grad, torch.tensor([[2.0, 3.0]]))


def test_a_tuple_of_results_is_made_float32_one_by_one() -> None:
    class Twice(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return image @ image, image @ image @ image

    two, three = AutocastInferer()(2.0 * torch.eye(2), Twice())
    assert two.dtype == three.dtype == torch.float32
    torch.testing.assert_close((two, three), (4.0 * torch.eye(2), 8.0 * torch.eye(2)))

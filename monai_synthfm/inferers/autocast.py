# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Forward pass in mixed precision on whatever device the input is on."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer

__all__ = ["AutocastInferer"]


class AutocastInferer(Inferer):
    """Call the network under ``torch.autocast`` of the input's own device and return float32.

    MONAI's engines autocast for CUDA only. This inferer does so for CPU, CUDA and MPS alike, in bfloat16, whose range
    is that of float32, so that no gradient scaling is needed.

    Args:
        amp: False = plain float32.

    Example:
        >>> layer = torch.nn.Linear(4, 4)
        >>> AutocastInferer()(torch.ones(1, 4), layer).dtype
        torch.float32
    """

    def __init__(self, amp: bool = True) -> None:
        self.amp = amp

    def __call__(self, inputs: torch.Tensor, network: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Return ``network(inputs, *args, **kwargs)``, a tensor or a tuple of them, as float32."""
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=self.amp):
            result = network(inputs, *args, **kwargs)
            return tuple(part.float() for part in result) if isinstance(result, tuple) else result.float()

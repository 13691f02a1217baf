# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Where pretrained weights come from, and safe reading of them."""

from __future__ import annotations

import os
from pathlib import Path

import torch

__all__ = ["find_weights", "load_state"]

_WRAPPERS = ("model", "state_dict", "network")


def find_weights(name_or_path: str | Path) -> Path:
    """Placeholder."""
    return Path(name_or_path)


def load_state(path: str | Path) -> dict[str, torch.Tensor]:
    """Placeholder."""
    return torch.load(os.fspath(path), map_location="cpu", weights_only=True)

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Clicks as tests write them."""

from __future__ import annotations

import torch


def click(*objects: list[list[float]]) -> dict[str, torch.Tensor]:
    """Batched prompts of objects that have one list of [x, y, z, label] rows each, all of one length."""
    rows = torch.tensor(objects)[None]
    return {"points": rows[..., :3], "point_labels": rows[..., 3].long()}

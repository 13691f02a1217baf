# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A volume to segment, and the inference bundle run on it in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow

from tests.bundles.stored_volumes import SIZES
from tests.inferers.region_grower import RegionGrower


@pytest.fixture(scope="module")
def voxels() -> np.ndarray:
    """Blobs of two grey levels, in RAS order."""
    noise = torch.rand(1, 1, 7, 6, 4, generator=torch.Generator().manual_seed(5))
    blobs = torch.nn.functional.interpolate(noise, SIZES, mode="trilinear")[0, 0] > 0.45
    return (100 + 200 * blobs.numpy()).astype(np.int16)


@pytest.fixture
def segment(bundle_dir: Path, tmp_path: Path) -> Callable[..., ConfigWorkflow]:
    """Run the bundle in this process with the region grower in place of a network."""

    def run(image: Path | str, output_dir: Path | None = None, **override: Any) -> ConfigWorkflow:
        workflow = ConfigWorkflow(
            config_file=str(bundle_dir / "configs" / "inference.yaml"),
            workflow_type="infer",
            logging_file=False,
            **{
                "image": str(image),
                "output_dir": str(output_dir or tmp_path / "out"),
                "device": torch.device("cpu"),
                "network_def": RegionGrower(),
                "direction": "none",
                "inferer::progress": False,
                **override,
            },
        )
        workflow.initialize()
        workflow.run()
        return workflow

    return run

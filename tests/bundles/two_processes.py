# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A bundle run by two CPU processes that talk through gloo."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["run_in_two_processes"]


def run_in_two_processes(configs: Sequence[Path], options: Mapping[str, object]) -> str:
    """Run config files with torchrun and return what they wrote to stderr.

    Args:
        configs: files, later ones over earlier ones.
        options: overrides of the command line.
    """
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    files = str([str(path) for path in configs])
    result = subprocess.run(
        [sys.executable, *launcher, "-m", "monai.bundle", "run", "--config_file", files, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stderr

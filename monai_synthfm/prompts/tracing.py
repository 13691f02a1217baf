# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Whether torch only records what is done, so that values cannot decide anything and sizes must be plain integers."""

from __future__ import annotations

from collections.abc import Iterable

import torch

__all__ = ["int_sizes", "is_exported", "is_traced"]


def is_exported() -> bool:
    """Return whether ``torch.export`` is at work, which has no values at all."""
    compiler = torch.compiler
    # torch before 2.7 tells both apart no further; elsewhere torch.compile looks at values where it must
    return compiler.is_exporting() if hasattr(compiler, "is_exporting") else compiler.is_compiling()


def is_traced() -> bool:
    """Return whether ``torch.export`` or ``torch.jit.trace`` is at work: checks of values would be lost."""
    return torch.jit.is_tracing() or is_exported()


def int_sizes(sizes: Iterable[int]) -> tuple[int, ...]:
    """
    Return sizes as integers, which ``torch.jit.trace`` gives as tensors that are equal to nothing.

    Example:
        >>> int_sizes(torch.zeros(2, 3).shape)
        (2, 3)
    """
    return tuple(int(size) for size in sizes)

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Parts of a job that other processes share."""

from __future__ import annotations

import re

__all__ = ["parse_shard"]


def parse_shard(shard: str) -> tuple[int, int]:
    """Read "i/n" with 1 <= i <= n.

    Raises:
        ValueError: when it is not of that form.

    Example:
        >>> parse_shard("2/4")
        (2, 4)
    """
    match = re.fullmatch(r"(\d+)/(\d+)", str(shard))
    number, count = (int(group) for group in match.groups()) if match else (0, 0)
    if not 1 <= number <= count:
        raise ValueError(f'shard must be "i/n" with 1 <= i <= n, got {shard!r}.')
    return number, count

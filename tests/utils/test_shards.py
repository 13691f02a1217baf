# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Parts of a job are read from texts such as 2/4."""

from __future__ import annotations

from typing import Any

import pytest

from monai_synthfm.utils.shards import parse_shard


@pytest.mark.parametrize(("shard", "expected"), [("1/1", (1, 1)), ("2/4", (2, 4)), ("04/12", (4, 12))])
def test_number_and_count_are_read(shard: str, expected: tuple[int, int]) -> None:
    assert parse_shard(shard) == expected


@pytest.mark.parametrize("shard", ["5/4", "0/4", "1/0", "1", "a/b", "-1/2", "1/2/3", 0.25])
def test_anything_else_is_refused(shard: Any) -> None:
    with pytest.raises(ValueError, match='shard must be "i/n" with 1 <= i <= n, got'):
        parse_shard(shard)

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Parameters that a generator draws, many times over."""

from __future__ import annotations

from typing import Any


def drawn(generator: Any, number: int = 60) -> list[Any]:
    params = []
    for _ in range(number):
        generator.randomize()
        params.append(generator.params)
    return params

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The number of threads is one inside and restored outside."""

from __future__ import annotations

import pytest
import torch

from monai_synthfm.utils.one_thread import one_thread


@pytest.fixture
def _three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_three_threads")
def test_threads_are_restored_also_after_an_error() -> None:
    @one_thread()
    def fail() -> None:
        assert torch.get_num_threads() == 1
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert torch.get_num_threads() == 3

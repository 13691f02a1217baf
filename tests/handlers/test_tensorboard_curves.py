# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys

import pytest

from monai_synthfm.handlers.tensorboard_curves import curves_are_written


def test_curves_are_written_where_tensorboard_is(caplog: pytest.LogCaptureFixture) -> None:
    assert curves_are_written()
    assert not caplog.records


def test_a_missing_tensorboard_is_said_once_where_curves_are_wanted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # importing it raises ImportError
    assert not curves_are_written(wanted=False)
    assert not caplog.records
    assert not curves_are_written()
    (record,) = caplog.records
    assert record.getMessage().startswith("TensorBoard is not installed: no curves of loss and Dice are written")

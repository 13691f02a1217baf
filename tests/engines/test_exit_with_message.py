# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import pytest
from ignite.engine import Engine

from monai_synthfm.engines.exit_with_message import ExitWithMessage


def failing_engine(error: Exception, cause: Exception | None = None) -> Engine:
    def step(engine: Engine, batch: int) -> None:
        raise error from cause

    engine = Engine(step)
    ExitWithMessage().attach(engine)
    return engine


@pytest.fixture
def _as_command(monkeypatch: pytest.MonkeyPatch) -> None:
    main = SimpleNamespace(__spec__=ModuleSpec("monai.bundle.__main__", None))
    monkeypatch.setitem(sys.modules, "__main__", main)


@pytest.mark.usefixtures("_as_command")
def test_command_ends_with_the_innermost_message_alone() -> None:
    with pytest.raises(SystemExit) as caught:
        failing_engine(RuntimeError("applying transform"), ValueError("image is 4D")).run([0])
    assert caught.value.code == "error: image is 4D"


@pytest.mark.usefixtures("_as_command")
def test_message_is_ours_and_not_that_of_its_cause() -> None:
    with pytest.raises(SystemExit, match="error: image is damaged"):
        failing_engine(ValueError("image is damaged"), OSError("CRC check failed")).run([0])


@pytest.mark.usefixtures("_as_command")
def test_command_keeps_the_traceback_of_other_errors() -> None:
    with pytest.raises(RuntimeError, match="applying transform"):
        failing_engine(RuntimeError("applying transform"), TypeError("bug")).run([0])


def test_programs_see_the_exception_itself() -> None:
    error = ValueError("image is 4D")
    with pytest.raises(ValueError, match="image is 4D") as caught:
        failing_engine(error).run([0])
    assert caught.value is error

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Handler that spares people at the command line a traceback when their input is wrong."""

from __future__ import annotations

import sys

from ignite.engine import Engine, Events
from monai.utils import MONAIEnvVars

__all__ = ["ExitWithMessage"]

_INPUT_ERRORS = (ValueError, FileNotFoundError)
_COMMAND = "monai.bundle.__main__"


class ExitWithMessage:
    """
    End ``python -m monai.bundle run`` with the message of a wrong input alone.

    MONAI wraps what goes wrong in transforms and config expressions into further exceptions, so that the message that
    matters stands far above the end of a long traceback. Under that command a ``ValueError`` or ``FileNotFoundError``
    within such wrappers becomes ``SystemExit`` with its message. Everything else, and everything in Python programs or
    with ``MONAI_DEBUG=1``, is raised unchanged.
    """

    def attach(self, engine: Engine) -> None:
        """Register with the engine."""
        engine.add_event_handler(Events.EXCEPTION_RAISED, self)

    def __call__(self, engine: Engine, exception: Exception) -> None:
        """Raise the exception again, or leave the program."""
        root: BaseException = exception
        while isinstance(root, RuntimeError) and root.__cause__ is not None:
            root = root.__cause__
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        is_command = spec is not None and spec.name == _COMMAND
        if is_command and isinstance(root, _INPUT_ERRORS) and not MONAIEnvVars.debug():
            raise SystemExit(f"error: {root}") from None
        raise exception

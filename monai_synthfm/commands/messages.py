# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""One line instead of a traceback, for people at a command line."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

from monai_synthfm.commands.quiet_logs import errors_told_once

__all__ = ["exit_with_message", "is_debugging"]

_INPUT_ERRORS = (ValueError, OSError, ImportError)
_TRUE = ("1", "true", "yes", "t", "y")  # as MONAI has it


def is_debugging() -> bool:
    """Return whether ``MONAI_DEBUG`` asks for tracebacks, as ``MONAIEnvVars.debug()`` of MONAI does."""
    return os.environ.get("MONAI_DEBUG", "").lower() in _TRUE


@contextmanager
def exit_with_message() -> Iterator[None]:
    """
    End the program with the message of what went wrong within the block alone: ``error: ...`` and exit status 1; what
    engines log of it is left out.

    MONAI wraps what goes wrong in transforms, components and expressions of configs into further exceptions, so that
    the message that matters stands far above the end of a long traceback. Of such wrappers the innermost exception
    speaks. What no input can cause is named with its type. An exception may say its own ``exit_status``. With
    ``MONAI_DEBUG=1`` everything is raised unchanged, with its traceback. Nothing is said where whoever reads the output
    has seen enough of it, as ``head`` does.

    Raises:
        SystemExit: in place of any other exception.

    Example:
        >>> with exit_with_message():
        ...     raise ValueError("image ct.nii: no such file.")
        Traceback (most recent call last):
        ...
        SystemExit: 1
    """
    debugging = is_debugging()
    try:
        with nullcontext() if debugging else errors_told_once():
            yield
            sys.stdout.flush()
    except Exception as error:
        root: BaseException = error
        while isinstance(root, RuntimeError) and root.__cause__ is not None:
            root = root.__cause__
        if isinstance(root, BrokenPipeError) and _nobody_reads_stdout():
            # what is left to write at the end goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(1) from None
        if debugging:
            raise
        told = f"{root.filename}: {root.strerror}" if isinstance(root, OSError) and root.filename else str(root)
        text = " ".join(told.split()) or type(root).__name__
        if not isinstance(root, _INPUT_ERRORS):
            text = f"{type(root).__name__}: {text} (MONAI_DEBUG=1 shows where)"
        print(f"error: {text}", file=sys.stderr)
        raise SystemExit(getattr(root, "exit_status", 1)) from None


def _nobody_reads_stdout() -> bool:
    """Return whether the output is a pipe whose other end is closed; pipes to other processes break, too."""
    with suppress(AttributeError, OSError, ValueError):  # no poll, no output, or none with a file
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)  # errors are told in any case
        return bool(poll.poll(0))
    return False

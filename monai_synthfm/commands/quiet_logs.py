# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What ignite and MONAI log, without what a command says itself or what means nothing here."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["configs_of_many_folders", "errors_told_once"]

_ENGINES = "ignite.engine.engine"  # above the loggers of all classes of engines
_STATS = "monai.handlers.StatsHandler"
_DATA = "DataStats"  # what MONAI shows the input of a failed transform with


@contextmanager
def errors_told_once() -> Iterator[None]:
    """
    Keep errors of engines and transforms out of the log, for programs that tell them when they end.

    ignite logs an error at each level of the run that it passes, handlers of MONAI once more with a traceback, and
    MONAI describes the data that a transform failed on. All else is logged as before.

    Example:
        >>> with errors_told_once():
        ...     logging.getLogger("ignite.engine.engine.SupervisedEvaluator").error("terminating due to exception: ...")
    """
    engines = logging.getLogger(_ENGINES)
    forward = _BelowErrors()
    propagate, engines.propagate = engines.propagate, False
    engines.addHandler(forward)
    try:
        with _filtered(_STATS, _is_below_errors), _filtered(_DATA, _describes_no_fault):
            yield
    finally:
        engines.removeHandler(forward)
        engines.propagate = propagate


@contextmanager
def configs_of_many_folders() -> Iterator[None]:
    """
    Keep MONAI from warning that configs lie in several folders, as those of datasets and of users do.

    It then looks for metadata and settings of the log beside the first one, where the bundles have them.
    """

    def says_more(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("Not all config files are in")

    with _filtered("monai.bundle.workflows", says_more):
        yield


def _is_below_errors(record: logging.LogRecord) -> bool:
    return record.levelno < logging.ERROR


class _BelowErrors(logging.Handler):
    """Hand on what is no error to whoever would have got it."""

    def emit(self, record: logging.LogRecord) -> None:
        above = logging.getLogger(_ENGINES).parent
        if _is_below_errors(record) and above is not None:
            above.callHandlers(record)


def _describes_no_fault(record: logging.LogRecord) -> bool:
    """Return whether no exception is being handled: MONAI describes what a transform failed on while it is."""
    return sys.exc_info()[0] is None


@contextmanager
def _filtered(name: str, passes: Callable[[logging.LogRecord], bool]) -> Iterator[None]:
    logger = logging.getLogger(name)
    logger.addFilter(passes)
    try:
        yield
    finally:
        logger.removeFilter(passes)

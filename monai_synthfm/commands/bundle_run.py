# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Workflows of bundles, run with options as they were typed."""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import monai.bundle
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.bundle.utils import DEFAULT_EXP_MGMT_SETTINGS

from monai_synthfm.commands.messages import exit_with_message
from monai_synthfm.commands.options import BundleOptions
from monai_synthfm.commands.quiet_logs import configs_of_many_folders
from monai_synthfm.commands.values import Kind, read_value
from monai_synthfm.commands.words import split_words

__all__ = ["run_as_typed", "run_bundle"]

_PROGRAM = "monai.bundle.__main__"
_COMMANDS = {"run": monai.bundle.run, "run_workflow": monai.bundle.run_workflow}
# of MONAI's command, not of the configs
_OWN = ("workflow_name", *inspect.signature(monai.bundle.run).parameters, *inspect.signature(ConfigWorkflow).parameters)
_running: ContextVar[bool] = ContextVar("_running", default=False)


def run_bundle(
    config_file: str | Path | Sequence[str | Path],
    options: Mapping[str, Any],
    run_id: str = "run",
    **arguments: Any,
) -> None:
    """
    Run a workflow as ``monai.bundle.run`` does, with options as they were typed.

    Args:
        config_file: the config, or several that are merged in this order.
        options: by name or id; texts are read as :class:`~monai_synthfm.commands.BundleOptions` says,
            other values stay.
        run_id: what is run.
        arguments: further ones of :func:`monai.bundle.run`, such as ``tracking``, which of torchrun's processes the
            first alone does: MONAI would record a run in each.

    Raises:
        ValueError: before anything is built, when an option does not exist, is not of its kind or does nothing.
        Exception: what goes wrong in the workflow.
    """
    files = [str(path) for path in ([config_file] if isinstance(config_file, (str, Path)) else config_file)]
    ids = {"init_id": "initialize", "final_id": "finalize"}
    starts = [run_id, "run", *(arguments.get(key) or default for key, default in ids.items())]
    config = ConfigParser.load_config_files(files)
    values = BundleOptions(config, starts, _tracking_names(arguments.get("tracking"))).read(options)
    if int(os.environ.get("RANK", "0")):
        arguments.pop("tracking", None)
    if arguments.get("tracking") and str(values.get("output_dir", "$"))[:1] not in "$@%":
        values["output_dir"] = f"${values['output_dir']!r}"  # MONAI appends to it as to an expression
    token = _running.set(True)
    try:
        with configs_of_many_folders():
            monai.bundle.run(run_id=run_id, config_file=files, **arguments, **values)
    finally:
        _running.reset(token)


def run_as_typed() -> None:
    """
    Take ``python -m monai.bundle run`` (and ``run_workflow``) over from MONAI, as the first thing in a config.

    That command hands its words to Fire, which makes numbers, tuples and comments of names and texts of ``false``, and
    drops options that are None; MONAI then takes any option for a new entry of the config. So the words are read once
    more, the workflow is run with what they say, and the program ends with it: with status 0, or with the message of
    what went wrong, see :func:`~monai_synthfm.commands.exit_with_message`. In Python programs, where options are
    values, nothing is done.

    Raises:
        SystemExit: when the workflow that it ran is over.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    command = _COMMANDS.get(sys.argv[1]) if len(sys.argv) > 1 else None
    if _running.get() or command is None or spec is None or spec.name != _PROGRAM:
        return
    with exit_with_message(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "parsing config_file")  # MONAI has said so once
        run_bundle(**_arguments(command, sys.argv[2:]))
    raise SystemExit(0)


def _arguments(command: Callable[..., Any], words: Sequence[str]) -> dict[str, Any]:
    """Arguments of :func:`run_bundle` from the words after a command of MONAI."""
    places, typed = split_words(words)
    typed = {**dict(zip(inspect.signature(command).parameters, places, strict=False)), **typed}
    own = {name: read_value(name, typed.pop(name), Kind.OTHER) for name in _OWN if name in typed}
    given: dict[str, Any] = dict(typed)
    if own.get("args_file"):
        given = {**ConfigParser.load_config_file(own.pop("args_file")), **given}
        own = {**{name: given.pop(name) for name in _OWN if name in given}, **own}
    return {**{name: value for name, value in own.items() if value is not None}, "options": given}


def _tracking_names(tracking: Any) -> list[str]:
    """Options that experiment tracking adds to every config."""
    if tracking is None:
        return []
    known = isinstance(tracking, str) and tracking in DEFAULT_EXP_MGMT_SETTINGS
    settings = DEFAULT_EXP_MGMT_SETTINGS[tracking] if known else ConfigParser.load_config_files(tracking)
    return list(settings["configs"])

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""From what people type to the configs of the bundles: options by name and kind, and errors in one line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from monai_synthfm.commands.messages import exit_with_message

if TYPE_CHECKING:
    from monai_synthfm.commands.bundle_run import run_as_typed, run_bundle
    from monai_synthfm.commands.options import BundleOptions

__all__ = ["BundleOptions", "exit_with_message", "run_as_typed", "run_bundle"]

_LATER = {"BundleOptions": "options", "run_as_typed": "bundle_run", "run_bundle": "bundle_run"}


def __getattr__(name: str) -> Any:
    """Import what needs MONAI when it is asked for: a help and a misspelled file name shall not wait for it."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)

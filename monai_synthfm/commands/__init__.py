# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""From what people type to the configs of the bundles: options by name and kind, and errors in one line."""

from monai_synthfm.commands.bundle_run import run_as_typed, run_bundle
from monai_synthfm.commands.exit_with_message import exit_with_message
from monai_synthfm.commands.options import BundleOptions

__all__ = ["BundleOptions", "exit_with_message", "run_as_typed", "run_bundle"]

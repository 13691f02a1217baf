# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""SynthFM for MONAI: promptable medical image segmentation trained on analytically generated images."""

from __future__ import annotations

from monai_synthfm.bundles import bundle_path

__all__ = ["__version__", "bundle_path"]

__version__ = "0.2.0"

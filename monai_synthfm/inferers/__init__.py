# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""How promptable networks are applied to volumes."""

from __future__ import annotations

from monai_synthfm.inferers.autocast import AutocastInferer
from monai_synthfm.inferers.prompted_slices import PromptedSliceInferer

__all__ = ["AutocastInferer", "PromptedSliceInferer"]

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A volume in the browser: click on it and see the mask. Needs the extra ``view``."""

from __future__ import annotations

from monai_synthfm.viewer.launch import view

__all__ = ["view"]

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""How samples are computed: label maps, intensities, textures, noise, blur and windows, in two and three dimensions.

Functions take parameters and a seeded generator; :mod:`monai_synthfm.transforms` draws the parameters.
"""

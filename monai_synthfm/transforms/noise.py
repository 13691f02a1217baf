# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random noise transforms that MONAI lacks: Poisson noise, (correlated) speckle and Perlin texture.

For Gaussian and Rician noise and for blur use MONAI's ``RandGaussianNoise``, ``RandRicianNoise`` and ``RandGaussianSmooth``. ``randomize`` draws a
small params dataclass, ``apply`` is a pure function of it and of the image's device, so any draw can be repeated. Nothing is clipped.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data.meta_obj import get_track_meta
from monai.transforms.transform import MapTransform, Randomizable, RandomizableTransform
from monai.transforms.utils import is_positive  # placeholder

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Readers of public datasets with labels, and of the user's own pairs of images and labels."""

from __future__ import annotations

from monai_synthfm.data.datasets.alfi import AlfiDataset
from monai_synthfm.data.datasets.amos import AmosDataset
from monai_synthfm.data.datasets.base import LabelledDataset
from monai_synthfm.data.datasets.camus import CamusDataset
from monai_synthfm.data.datasets.chaos import ChaosDataset
from monai_synthfm.data.datasets.fetal_head import FetalHeadDataset, JnuIfmDataset
from monai_synthfm.data.datasets.folder import FolderDataset
from monai_synthfm.data.datasets.hc18 import Hc18Dataset
from monai_synthfm.data.datasets.indexed import IndexedDataset
from monai_synthfm.data.datasets.registry import open_dataset
from monai_synthfm.data.datasets.totalsegmentator import TotalSegmentatorDataset
from monai_synthfm.utils.switches import exports_read_switches

__all__ = [
    "AlfiDataset",
    "AmosDataset",
    "CamusDataset",
    "ChaosDataset",
    "FetalHeadDataset",
    "FolderDataset",
    "Hc18Dataset",
    "IndexedDataset",
    "JnuIfmDataset",
    "LabelledDataset",
    "TotalSegmentatorDataset",
    "open_dataset",
]

exports_read_switches(globals())

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What lies between files and networks: volumes and their geometry, tables of prompts, labelled cases cut into slices,
stored embeddings, and the datasets of generated samples, which are exported here."""

from __future__ import annotations

from monai_synthfm.data.synthfm_3d_dataset import SynthFM3DDataset
from monai_synthfm.data.synthfm_dataset import SynthFMDataset

__all__ = ["SynthFM3DDataset", "SynthFMDataset"]

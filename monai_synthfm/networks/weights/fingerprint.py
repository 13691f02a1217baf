# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What tells one network from another: its class, its settings and a hash of its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from monai_synthfm import __version__
from monai_synthfm.networks.promptable import Promptable

__all__ = [
    "CALLERS_CHOICE",
    "ENCODER_SHA256",
    "VERSION",
    "describe_embeddings",
    "describe_network",
    "encoder_sha256",
    "file_settings",
    "network_name",
    "state_sha256",
]

ENCODER_SHA256 = "image_encoder_sha256"
VERSION = "monai_synthfm"
_RESIZED = ("pos_embed", "rel_pos_h", "rel_pos_w")
CALLERS_CHOICE = ("multimask", "tracking_multimask", "max_conditioning")
"""Settings that whoever opens a network chooses, whatever the training of its weights had."""


def describe_network(network: Promptable) -> dict[str, Any]:
    """
    Describe a promptable network for JSON: equal descriptions give equal embeddings and masks.

    ``state_sha256`` is the hash of its weights in memory, which no file has, see :func:`state_sha256`.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> list(describe_network(MobileSam(image_size=64)))
        ['network', 'image_size', 'preprocessing', 'multimask', 'combines_prompts', 'state_sha256']
    """
    return {**describe_embeddings(network), **network.describe().masks, "state_sha256": state_sha256(network.core)}


def describe_embeddings(network: Promptable) -> dict[str, Any]:
    """
    Describe for JSON what decides the embeddings of a promptable network, apart from its weights.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> describe_embeddings(MobileSam(image_size=64, multimask="always"))
        {'network': 'MobileSam', 'image_size': 64, 'preprocessing': 'sam'}
    """
    settings = network.describe()
    return {"network": settings.name, **settings.embeddings}


def file_settings(network: Promptable) -> dict[str, Any]:
    """
    Say what a file of trained weights has to say of its network, so that
    :func:`~monai_synthfm.networks.open_network` makes the same one of it.

    Of a network that wraps another, such as :class:`~monai_synthfm.networks.Zoom`, it is the one within.

    Returns:
        plain data: ``network`` (the class), its settings without those of :data:`CALLERS_CHOICE`, the hash of the image
        encoder, and the version of this package.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> settings = file_settings(MobileSam(image_size=64, multimask="always"))
        >>> list(settings)
        ['network', 'image_size', 'preprocessing', 'combines_prompts', 'image_encoder_sha256', 'monai_synthfm']
    """
    described = network.core.describe()
    kept = {name: value for name, value in described.masks.items() if name not in CALLERS_CHOICE}
    encoder = getattr(network.core, "image_encoder", None)
    signed = {} if encoder is None else {ENCODER_SHA256: encoder_sha256(encoder)}
    return {"network": described.name, **described.embeddings, **kept, **signed, VERSION: __version__}


def network_name(network: torch.nn.Module) -> str:
    """
    Name a network, and what it wraps, or the class of another module.

    Example:
        >>> from monai_synthfm.networks import MobileSam, Zoom
        >>> network_name(Zoom(MobileSam(image_size=64))), network_name(torch.nn.Linear(1, 1))
        ('Zoom(MobileSam)', 'Linear')
    """
    return network.describe().name if isinstance(network, Promptable) else type(network).__name__


def encoder_sha256(encoder: torch.nn.Module) -> str:
    """
    Return one hash of the weights of an image encoder, without the position embeddings of a ViT: they are interpolated
    to the input size, which machines round differently.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> encoder = MobileSam(image_size=64).image_encoder
        >>> encoder_sha256(encoder) == state_sha256(encoder)
        True
    """
    return _sha256({name: value for name, value in encoder.state_dict().items() if not name.endswith(_RESIZED)})


def state_sha256(network: torch.nn.Module) -> str:
    """
    Return one hash of all weights of a network, whatever files they came from.

    Example:
        >>> layer = torch.nn.Linear(2, 2)
        >>> state_sha256(layer) == state_sha256(torch.nn.Sequential(layer)[0])
        True
    """
    return _sha256(network.state_dict())


def _sha256(state: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()

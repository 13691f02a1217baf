# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What tells one network from another: its class, its settings and a hash of its weights."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from monai_synthfm.networks.zoom import Zoom

__all__ = ["describe_network", "network_name", "state_sha256"]

_SETTINGS = ("image_size", "preprocessing", "multimask", "tracking_multimask", "max_conditioning")


def describe_network(network: torch.nn.Module) -> dict[str, Any]:
    """
    Describe a promptable network for JSON: equal descriptions give equal embeddings and masks.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> list(describe_network(MobileSam(image_size=64)))
        ['network', 'image_size', 'preprocessing', 'multimask', 'weights_sha256']
    """
    if isinstance(network, Zoom):
        own = {"network": network_name(network), "multimask": network.multimask, "margin": network.margin}
        return {**describe_network(network.network), **own}
    settings = {name: getattr(network, name) for name in _SETTINGS if hasattr(network, name)}
    return {"network": network_name(network), **settings, "weights_sha256": state_sha256(network)}


def network_name(network: torch.nn.Module) -> str:
    """
    Name the class of a network, and that of the network within a :class:`~monai_synthfm.networks.Zoom`.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> network_name(Zoom(MobileSam(image_size=64)))
        'Zoom(MobileSam)'
    """
    name = type(network).__name__
    return f"{name}({network_name(network.network)})" if isinstance(network, Zoom) else name


def state_sha256(network: torch.nn.Module) -> str:
    """
    Return one hash of all weights of a network, whatever files they came from.

    Example:
        >>> layer = torch.nn.Linear(2, 2)
        >>> state_sha256(layer) == state_sha256(torch.nn.Sequential(layer)[0])
        True
    """
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()

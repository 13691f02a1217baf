# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a state dict says of the network that it is for, beside its tensors and not among them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch

__all__ = ["COMBINES_PROMPTS", "settings_of", "with_settings"]

COMBINES_PROMPTS = "combines_prompts"
_SETTINGS = "settings"


def with_settings(state: Mapping[str, torch.Tensor], settings: Mapping[str, Any]) -> OrderedDict[str, torch.Tensor]:
    """
    Let a state dict say what network it is for, so that a file of it is a plain state dict, as MONAI's bundles want it.

    The words stand in the metadata of the state dict, which ``torch.save`` writes and ``torch.load`` reads back, and in
    which torch itself keeps versions of modules. No key is added: whatever loads a state dict loads this one.

    Args:
        state: tensors by name, with metadata when a module gave it.
        settings: plain data, see :func:`~monai_synthfm.networks.weights.fingerprint.file_settings`.

    Returns:
        a new mapping of the same tensors.

    Example:
        >>> state = with_settings(torch.nn.Linear(1, 1).state_dict(), {"network": "Linear"})
        >>> list(state), settings_of(state)
        (['weight', 'bias'], {'network': 'Linear'})
        >>> torch.nn.Linear(1, 1).load_state_dict(state)
        <All keys matched successfully>
    """
    said = OrderedDict(state)
    metadata: Mapping[str, Mapping[str, Any]] = getattr(state, "_metadata", {})
    top = {name: value for name, value in settings.items() if name == COMBINES_PROMPTS}
    said._metadata = OrderedDict(  # type: ignore[attr-defined]
        {**metadata, "": {**metadata.get("", {}), **top, _SETTINGS: dict(settings)}}
    )
    return said


def settings_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what a state dict says of its network; nothing, when it was written by others.

    Args:
        state: of :func:`with_settings`, of a module, or any other.
    """
    top = getattr(state, "_metadata", {}).get("", {})
    word = {COMBINES_PROMPTS: top[COMBINES_PROMPTS]} if top.get(COMBINES_PROMPTS) is not None else {}
    return {**word, **top.get(_SETTINGS, {})}

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The models of a table by name or file, opened when they are first needed."""

from __future__ import annotations

from pathlib import Path

import torch

from monai_synthfm.evaluation.predictors import NetworkPredictor
from monai_synthfm.networks import Promptable, Zoom, open_network
from monai_synthfm.networks.open import file_of
from monai_synthfm.networks.preprocessing import Preprocessing
from monai_synthfm.networks.promptable import Multimask
from monai_synthfm.networks.weights.known_models import MODELS
from monai_synthfm.utils.switches import reads_switches

__all__ = ["open_model"]


@reads_switches
def open_model(
    name_or_file: str | Path,
    encoder: str | Path | None = None,
    image_size: int | None = None,
    multimask: Multimask = "never",
    label: str | None = None,
    device: torch.device | str = "cpu",
    amp: bool = False,
    preprocessing: Preprocessing | None = None,
    zoom: bool = False,
) -> NetworkPredictor:
    """
    Make a model ready for an evaluation; the network is opened when it is first needed.

    Args:
        name_or_file: as for :func:`~monai_synthfm.networks.open_network`, like the next three and ``preprocessing``.
        encoder: of a decoder in a file, or of a file that does not say what it is of.
        image_size: side of the network's square input in pixels.
        multimask: see :class:`~monai_synthfm.networks.Promptable`.
        label: name in the table; the model's own by default.
        device: where it runs.
        amp: bfloat16 autocast.
        preprocessing: of the images.
        zoom: whether to look again at a window around each object, see :class:`~monai_synthfm.networks.Zoom`.

    Raises:
        FileNotFoundError: when it is neither a name nor a file.
    """
    if str(name_or_file) not in MODELS:
        file_of(name_or_file)  # refused here rather than when other models have had their turn

    def make() -> Promptable:
        network = open_network(
            name_or_file, encoder=encoder, image_size=image_size, preprocessing=preprocessing, multimask=multimask
        )
        return Zoom(network) if zoom else network

    return NetworkPredictor(label or str(name_or_file), make, device, amp)

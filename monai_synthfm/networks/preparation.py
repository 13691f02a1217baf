# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The start of a training: weights, a decoder from scratch, and what is not trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from monai_synthfm.networks.decoder_starts import align_attention, start_alternatives
from monai_synthfm.networks.pretrained import PretrainedPromptable
from monai_synthfm.utils.switches import reads_switches

__all__ = ["prepare"]

Network = TypeVar("Network", bound=PretrainedPromptable)


@reads_switches
def prepare(
    network: Network,
    *,
    pretrained: str | Path | None = None,
    reset_decoder: bool = False,
    seed: int | None = 0,
    aligned: bool = False,
    checkpoint: str | Path | None = None,
    any_preprocessing: bool = False,
    new_alternatives: bool = False,
    frozen: Sequence[str] = (),
) -> Network:
    """Prepare a network for training: set its weights in the order of the arguments, then freeze parts of it.

    Args:
        network: to be changed in place.
        pretrained: name in :data:`monai_synthfm.networks.weights.files.WEIGHTS` or path of weights of the whole
            network; None leaves them as they are.
        reset_decoder: draw the mask decoder anew (SynthFM trains it from scratch, paper section 3).
        seed: of ``reset_decoder``; None draws from torch's global generator.
        aligned: whether in a decoder that is drawn anew a click looks at its own place from the start, see
            :func:`~monai_synthfm.networks.align_attention`.
        checkpoint: path of a state dict of this network or of parts of it, for example a trained mask decoder.
        any_preprocessing: take a ``checkpoint`` that was trained with another ``preprocessing``, to train it further.
        new_alternatives: start the alternatives of the mask decoder from its unambiguous mask, see
            :func:`~monai_synthfm.networks.start_alternatives`.
        frozen: sub-modules not to train, for example ``("image_encoder", "prompt_encoder")``.

    Returns:
        The same network. A second decoder that came with a checkpoint (:meth:`Promptable.carry`) stays only where the
        mask decoder is frozen: what a training makes of the one does not reach the other.

    Raises:
        ValueError: when weights do not fit, or there is no such sub-module.
        FileNotFoundError: when weights are neither a file nor a known name.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> network = prepare(MobileSam(image_size=64), reset_decoder=True, aligned=True, frozen=["image_encoder"])
        >>> {name.partition(".")[0] for name, weight in network.named_parameters() if not weight.requires_grad}
        {'image_encoder'}
    """
    if pretrained is not None:
        network.load_pretrained(pretrained)
    if reset_decoder:
        network.reset_decoder(seed)
        if aligned:
            align_attention(network.decoder)
    if checkpoint is not None:
        network.load_checkpoint(checkpoint, any_preprocessing)
    if new_alternatives:
        start_alternatives(network.decoder)
    network.freeze(*frozen)
    if any(parameter.requires_grad for parameter in network.decoder.parameters()):
        network.carry_decoder = None
    return network

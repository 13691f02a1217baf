# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The way in which a network carries objects through a volume, by its name or as it suits the network."""

from __future__ import annotations

from monai_synthfm.inferers.propagation.mask_propagation import MaskPropagation
from monai_synthfm.inferers.propagation.memory_propagation import MemoryPropagation
from monai_synthfm.inferers.propagation.propagation import Propagation
from monai_synthfm.inferers.propagation.window_propagation import WindowPropagation
from monai_synthfm.networks import Promptable, Sam2
from monai_synthfm.networks.mask_prompter import MaskPrompter

__all__ = ["PROPAGATIONS", "choose_propagation"]

PROPAGATIONS = ("windows", "masks", "memory")
"""Names of the ways to carry objects on."""


def choose_propagation(network: Promptable, wanted: Propagation | str | None = None) -> Propagation:
    """
    Return the way in which objects are carried through a volume.

    - ``windows``: the U-Net of the bundle ``synthfm_sam2_3d`` completes their masks
      (:class:`~monai_synthfm.inferers.propagation.window_propagation.WindowPropagation`),
    - ``masks``: the network segments each slice, prompted with the mask on the slice before
      (:class:`~monai_synthfm.inferers.propagation.mask_propagation.MaskPropagation`), with all that can be made of that
      mask, or with its box alone where the decoder does not combine prompts. A decoder for carrying
      (:meth:`~monai_synthfm.networks.Promptable.carry`) always combines them.
    - ``memory``: SAM 2's
      (:class:`~monai_synthfm.inferers.propagation.memory_propagation.MemoryPropagation`).

    What suits a network is its memory; windows, where its decoder was trained on slices alone and has one for carrying
    beside it; else masks. A network within a :class:`~monai_synthfm.networks.Zoom` is not asked for its memory.

    Args:
        network: that segments the prompted slices.
        wanted: one of :data:`PROPAGATIONS`, a propagation, which is returned, or None for what suits the network.

    Raises:
        ValueError: when it is another word, or masks are to carry objects and nobody said whether the decoder combines
            prompts, see :class:`Promptable`.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> network = MobileSam(image_size=64)
        >>> network.combines_prompts = True
        >>> type(choose_propagation(network)).__name__
        'MaskPropagation'
    """
    if isinstance(wanted, Propagation):
        return wanted
    if wanted not in (None, *PROPAGATIONS):
        raise ValueError(f"propagation must be one of {', '.join(PROPAGATIONS)}, got {wanted!r}.")
    trained_on_slices = network.core.carry_decoder is not None
    if wanted is None:
        wanted = "memory" if isinstance(network, Sam2) else "windows" if trained_on_slices else "masks"
    if wanted == "memory":
        return MemoryPropagation()
    if wanted == "windows":
        return WindowPropagation()
    if trained_on_slices:
        return MaskPropagation()
    if network.combines_prompts is None:
        raise ValueError(
            "the weights do not say whether their decoder reads masks, and boxes with clicks: set "
            "network.combines_prompts to True (SAM, MobileSAM and decoders trained with both) or False (decoders "
            "trained with clicks or a box alone), or give a propagation."
        )
    return MaskPropagation(MaskPrompter() if network.combines_prompts else MaskPrompter(mask=False, clicks=None))

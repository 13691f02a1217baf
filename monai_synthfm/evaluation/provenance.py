# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Where results come from: versions, weights, configs, data left out, and what the models may have seen in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import pandas as pd

from monai_synthfm.utils.versions import package_versions

__all__ = ["Provenance", "contamination_table"]


@dataclass(frozen=True)
class Provenance:
    """
    What a reader of a report needs to trust it or to do it again.

    Args:
        weights: a record for each model: its settings, and ``files``, each with ``file`` and ``sha256``.
        settings: what figures depend on, by name: the protocol, the datasets as they were opened, and the like.
        skips: what was not evaluated and why, records as of
            :meth:`~monai_synthfm.data.datasets.base.LabelledDataset.skip_report`.
        versions: of the software.
    """

    weights: Sequence[Mapping[str, Any]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    skips: Sequence[Mapping[str, Any]] = ()
    versions: Mapping[str, str] = field(default_factory=package_versions)


def contamination_table() -> pd.DataFrame:
    """Return what is known of evaluated datasets in the training data of models; it stands beside every result."""
    with (files("monai_synthfm.evaluation") / "contamination.csv").open() as file:
        return pd.read_csv(file)

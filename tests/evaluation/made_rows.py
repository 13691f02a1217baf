# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tables of rows made by hand or at random, for the tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from monai_synthfm.evaluation.results_table import make_rows


def row(**changes: Any) -> dict[str, Any]:
    """One valid row; areas follow from ``dsc`` unless they are given."""
    values = {
        "model": "sam",
        "dataset": "chaos_ct",
        "patient_id": "p1",
        "case_id": changes.get("patient_id", "p1"),
        "modality": "ct",
        "structure": "liver",
        "slice_index": 0,
        "instance": 0,
        "prompts": "1p0n",
        "seed": 0,
        "split": "training",
        "dsc": 0.5,
        "nsd": 0.5,
        "hd95": 3.0,
        "spacing_known": True,
        "seconds": 0.1,
        **changes,
    }
    areas = {"area_target": 1000, "area_pred": 1000, "intersection": round(1000 * values["dsc"])}
    values = {**areas, **values}
    return {"empty_pred": values["area_pred"] == 0, **values}


def random_rows(
    models: Sequence[str] = ("sam", "synthfm"),
    structures: Sequence[tuple[str, str]] = (("ct", "liver"), ("mr", "spleen")),
    prompts: Sequence[str] = ("1p0n", "1p2n"),
    patients: int = 4,
    slices: int = 3,
    seed: int = 0,
) -> pd.DataFrame:
    """Rows with random scores; later models score higher by 0.1 on average."""
    rng = np.random.default_rng(seed)

    def rows() -> Iterator[dict[str, Any]]:
        for modality, structure in structures:
            for patient in range(patients):
                level = rng.uniform(0.3, 0.6)
                for index in range(slices):
                    for name in prompts:
                        for rank, model in enumerate(models):
                            yield row(
                                model=model,
                                modality=modality,
                                structure=structure,
                                patient_id=f"p{patient}",
                                slice_index=index,
                                prompts=name,
                                dsc=float(np.clip(level + 0.1 * rank + rng.normal(0, 0.05), 0, 1)),
                                nsd=float(rng.uniform()),
                            )

    return make_rows(rows())

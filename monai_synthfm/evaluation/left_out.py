# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation leaves out: records of single cases, gathered by structure and reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

__all__ = ["left_out", "left_out_words"]

_KEYS = ["dataset", "structure", "code"]
_SIZES = ("slice_largest", "largest")


def left_out(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """
    Count the records of what is left out by dataset, structure and kind of reason.

    Args:
        records: as of :meth:`~monai_synthfm.evaluation.runner.EvaluationRunner.skipped`. Those of whole cases have no
            ``structure``.

    Returns:
        A table with ``dataset``, ``structure`` (empty for whole cases), ``reason`` and ``records``, the numbers of
        them. Where the messages of one kind differ, the reason is the message of the object that came nearest to the
        limit of size, and the first one where no size is known.

    Example:
        >>> small = {"dataset": "mine", "structure": "node", "code": "too_small"}
        >>> records = [{**small, "message": f"largest slice has {size}", "slice_largest": size} for size in (12, 37)]
        >>> left_out(records).to_numpy().tolist()
        [['mine', 'node', 'largest slice has 37', 2]]
    """
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for record in records:
        found.setdefault(tuple(record.get(key) or "" for key in _KEYS), []).append(record)
    rows = []
    for (dataset, structure, code), group in found.items():
        nearest = max(group, key=lambda record: [record.get(size, 0) for size in _SIZES])
        rows.append((dataset, structure, nearest.get("message") or code, len(group)))
    return pd.DataFrame(rows, columns=["dataset", "structure", "reason", "records"])


def left_out_words(records: Iterable[Mapping[str, Any]]) -> str:
    """
    Name the reasons in one line.

    Example:
        >>> left_out_words([{"dataset": "mine", "structure": "node", "code": "absent", "message": "not in this case"}])
        'node of mine: not in this case, 1 x'
    """
    rows = left_out(records).itertuples(index=False)
    return "; ".join(
        f"{row.structure + ' of ' if row.structure else ''}{row.dataset}: {row.reason}, {row.records} x" for row in rows
    )

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tables of prompts: a row for each object of each of many images."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["COLUMNS", "read_prompt_table"]

COLUMNS = ("image", "object", "clicks", "labels", "box", "mask", "space", "modality", "series", "axis", "slice_range")
"""What a row may say; ``image`` is needed."""

_OF_IMAGE = ("mask", "space", "modality", "axis", "slice_range")  # the same in all rows of an image
_NUMBERS = ("labels", "box", "slice_range")


def read_prompt_table(path: str | Path, defaults: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """
    Read a table of prompts and put the rows of each image together.

    Rows of one image (and DICOM series) are its objects 1, 2, ... in the order of the table, segmented together as with
    one call. ``clicks`` are ``[[x, y, z], ...]`` or ``x y z; x y z``, ``labels`` 1 or 0 for each of them (1 unless
    given), ``box`` ``[x0, y0, z0, x1, y1, z1]`` or the same with spaces; ``mask`` is a file whose values are the
    numbers of the image's objects; ``object`` names an object, which has its number for a name otherwise; the other
    columns are as in :class:`~monai_synthfm.data.prompted_volumes.PromptedVolumeDataset`. Empty cells say nothing.

    Args:
        path: a CSV file with a header, or a JSON file with a list of objects.
        defaults: values of ``space``, ``axis``, ``slice_range`` and the like where a row has none.

    Returns:
        For each image, in the order of the table, what ``PromptedVolumeDataset`` takes, with ``objects`` (names) and
        ``rows`` (numbers, from 1), and ``fault`` where a row cannot be understood: the reason, which names the row.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no table, is empty, or has a column of another name.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder, "prompts.csv")
        ...     _ = table.write_text("image,object,clicks,box\\nct.nii,liver,4 5 6; 7 8 9,\\nct.nii,,,1 1 1 4 4 4\\n")
        ...     (case,) = read_prompt_table(table)
        >>> case["objects"], case["points"], case["point_labels"], case["boxes"]
        (['liver', '2'], [[[4, 5, 6], [7, 8, 9]], []], [[1, 1], []], [[], [1, 1, 1, 4, 4, 4]])
    """
    if not path:
        raise ValueError("prompts: no table was given; name a CSV or JSON file.")
    rows = _rows(Path(path))
    cases: dict[tuple[str, str], dict[str, Any]] = {}
    for number, row in enumerate(rows, start=1):
        image = str(row.get("image", ""))
        key = (os.path.normpath(image), str(row.get("series", "")))
        case = cases.setdefault(
            key, {"image": image, "series": row.get("series"), "objects": [], "rows": [], "given": []}
        )
        case["rows"].append(number)
        case["objects"].append(str(row.get("object") or len(case["rows"])))
        case["given"].append(row)
    return [_case(case, defaults or {}) for case in cases.values()]


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows, without empty cells."""
    if not path.is_file():
        raise FileNotFoundError(f"prompts {path}: no such file.")
    try:
        if path.suffix.lower() == ".json":
            found = json.loads(path.read_text(encoding="utf-8"))
        else:
            table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig")
            found = table.rename(columns=str.strip).to_dict("records")
    except ValueError as error:  # of pandas, json and unicode alike
        raise ValueError(f"prompts {path}: neither CSV nor JSON ({error}).") from error
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise ValueError(f"prompts {path}: expected a list with an object for each row, got {type(found).__name__}.")
    if not found:
        raise ValueError(f"prompts {path}: it has no rows.")
    for name in {str(name): None for row in found for name in row}:
        if name not in COLUMNS:
            nearest = get_close_matches(name, COLUMNS, 1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(COLUMNS)}."
            raise ValueError(f"prompts {path}: there is no column {name!r}; {hint}")
    if not any("image" in row for row in found):
        raise ValueError(f"prompts {path}: the column 'image' is missing.")
    return [{name: value for name, value in row.items() if value not in ("", None)} for row in found]


def _case(case: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    rows, numbers = case.pop("given"), case["rows"]
    points: list[Any] = []
    labels: list[Any] = []
    boxes: list[Any] = []
    shared: dict[str, Any] = {}
    try:
        for number, row in zip(numbers, rows, strict=True):
            read = {name: _read(number, name, value) for name, value in row.items()}
            if "image" not in read:
                raise ValueError(f"row {number}: image is missing.")
            clicks = read.get("clicks", [])
            if not isinstance(clicks, list):
                raise ValueError(f"row {number}: clicks must be a list of [x, y, z], got {clicks!r}.")
            points.append(clicks)
            labels.append(read.get("labels", [1] * len(clicks)))
            boxes.append(read.get("box", []))
            for name in _OF_IMAGE:
                if name in read and shared.setdefault(name, read[name]) != read[name]:
                    other = f"{shared[name]!r} in another row of this image"
                    raise ValueError(f"row {number}: {name} {read[name]!r} differs from {other}.")
    except ValueError as error:
        case["fault"] = str(error)
    prompts = {"points": points, "point_labels": labels} if any(points) or any(labels) else {}
    return {**case, **prompts, **({"boxes": boxes} if any(boxes) else {}), **defaults, **shared}


def _read(number: int, name: str, value: Any) -> Any:
    """What a cell says: numbers of lists from JSON or with spaces between, all else as it stands."""
    if not isinstance(value, str) or name not in (*_NUMBERS, "clicks"):
        return value
    try:
        if value.lstrip().startswith("["):
            return json.loads(value)
        parts = [_numbers(part) for part in value.split(";") if part.strip()]
    except ValueError as error:
        raise ValueError(f"row {number}: {name} {value!r} are no numbers ({error}).") from None
    if name == "clicks":
        return parts
    return [entry for part in parts for entry in part]


def _numbers(text: str) -> Sequence[int | float]:
    values = (word.strip() for word in text.replace(",", " ").split())
    return [int(word) if word.lstrip("+-").isdigit() else float(word) for word in values]

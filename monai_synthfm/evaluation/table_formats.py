# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
Tables as Markdown, LaTeX, CSV and HTML, with the best figure of each row in bold.

A dash stands for an interval or a test that there is not; a line under the table says so. CSV leaves it empty.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from monai_synthfm.evaluation.aggregation import FEWEST_PATIENTS

__all__ = [
    "Best",
    "best_in_row",
    "or_dash",
    "to_csv",
    "to_html",
    "to_latex",
    "to_markdown",
    "with_interval",
    "write_table",
]

Best = Literal["highest", "lowest"]

_PRECISION = 2
_DASH = "\N{EN DASH}"
_NO_INTERVAL = f" [{_DASH}]"
_FOOTNOTE = f"{_DASH}: no interval and no test, as with fewer than {FEWEST_PATIENTS} patients."
_LATEX_WORDS = {"\\": "backslash", "~": "asciitilde", "^": "asciicircum", "<": "less", ">": "greater"}
_LATEX = {
    ord(_DASH): "--",
    **{ord(character): f"\\{character}" for character in "&%$#_{}"},
    **{ord(character): f"\\text{word}{{}}" for character, word in _LATEX_WORDS.items()},
}


def or_dash(value: float, form: str) -> str:
    """
    Write a number, or a dash for NaN.

    Example:
        >>> or_dash(0.04567, ".3g"), or_dash(float("nan"), ".3g")
        ('0.0457', '–')
    """
    return _DASH if math.isnan(value) else format(value, form)


def with_interval(value: float, low: float, high: float, form: str) -> str:
    """
    Write a number with its interval, or a dash for one that is NaN.

    Example:
        >>> with_interval(65.2, 61, 70.3, ".1f"), with_interval(65.2, float("nan"), float("nan"), ".1f")
        ('65.2 [61.0, 70.3]', '65.2 [–]')
    """
    interval = _NO_INTERVAL if math.isnan(low) else f" [{low:{form}}, {high:{form}}]"
    return or_dash(value, form) + interval


def best_in_row(table: pd.DataFrame, best: Best = "highest") -> pd.DataFrame:
    """
    Mark the best figures of each row among the models with the same prompts (and the same source).

    Args:
        table: figures with ``model`` and ``prompts`` among the levels of the columns; nothing is marked in others.
        best: whether more or less is better.

    Returns:
        Booleans of the table's size; nothing is marked where there is one model only.
    """
    marks = pd.DataFrame(False, index=table.index, columns=table.columns)
    if {"model", "prompts"} <= set(table.columns.names):
        groups = table.columns.to_frame(index=False).drop(columns="model")
        for columns in groups.groupby(list(groups)).indices.values():
            part = table.iloc[:, columns]
            if part.shape[1] > 1:
                extreme = part.max(axis=1) if best == "highest" else part.min(axis=1)
                marks.iloc[:, columns] = part.eq(extreme, axis=0).to_numpy()
    return marks


def to_markdown(table: pd.DataFrame, best: Best = "highest") -> str:
    """
    Write a table as Markdown; levels of the header are joined.

    Example:
        >>> print(to_markdown(pd.DataFrame({"dice": [61.5, float("nan")]}, index=pd.Index(["a", "b"], name="organ"))))
        | organ | dice |
        |---|---|
        | a | 61.50 |
        | b |  |
    """
    flat = _flat(_texts(table, best, lambda text: text.replace("|", "\\|").replace("\n", " "), "**{}**"))
    lines = [list(flat), *flat.to_numpy().tolist()]
    header, *body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([header, "|---" * flat.shape[1] + "|", *body, *(["", _FOOTNOTE] if _has_dash(table) else [])])


def to_latex(table: pd.DataFrame, caption: str, best: Best = "highest") -> str:
    """Write a table as LaTeX for the package ``booktabs``; names are escaped."""
    texts = _texts(table, best, _escape_latex, "\\textbf{{{}}}")
    latex = str(
        texts.to_latex(
            escape=False,
            index=_has_labels(table),
            caption=_escape_latex(caption),
            multicolumn_format="c",
            multirow=False,
            column_format="l" * (_has_labels(table) * table.index.nlevels) + "r" * table.shape[1],
        )
    )
    end = "\\end{tabular}\n"
    return latex.replace(end, f"{end}\n{_escape_latex(_FOOTNOTE)}\n") if _has_dash(table) else latex


def to_html(table: pd.DataFrame, best: Best = "highest") -> str:
    """
    Write a table as HTML without a style of its own; names are escaped.

    Example:
        >>> "<td>&lt;b&gt;</td>" in to_html(pd.DataFrame({"note": ["<b>"]}))
        True
    """
    texts = _texts(table, best, escape, "<b>{}</b>")
    with pd.option_context("display.max_colwidth", None):  # pandas would cut long texts
        html = str(texts.to_html(escape=False, index=_has_labels(table), border=0, classes="figures"))
    return f'{html}\n<p class="note">{_FOOTNOTE}</p>' if _has_dash(table) else html


def to_csv(table: pd.DataFrame) -> str:
    """
    Write a table as CSV with one line of header, figures with four decimals.

    Example:
        >>> print(to_csv(pd.DataFrame({"dice": ["61.5 [–]"], "p": ["–"]})), end="")
        dice,p
        61.5,
    """
    plain = _flat(table).map(_without_dash)
    return str(plain.to_csv(index=False, float_format="%.4f", lineterminator="\n"))


def write_table(table: pd.DataFrame, folder: Path, name: str, caption: str, best: Best = "highest") -> None:
    """Write ``name.md``, ``name.tex`` and ``name.csv`` into a folder that is there already."""
    (folder / f"{name}.md").write_text(to_markdown(table, best) + "\n", encoding="utf-8")
    (folder / f"{name}.tex").write_text(to_latex(table, caption, best), encoding="utf-8")
    (folder / f"{name}.csv").write_text(to_csv(table), encoding="utf-8")


def _texts(table: pd.DataFrame, best: Best, escaped: Callable[[str], str], bold: str) -> pd.DataFrame:
    """Turn figures and names into escaped texts, the best ones set in bold."""
    texts = table.map(lambda value: escaped(_text(value))).astype(object)
    marks = best_in_row(table, best)
    texts = texts.where(~marks, texts.map(bold.format))
    for axis in (0, 1):
        texts = texts.set_axis(_renamed(texts.axes[axis], escaped), axis=axis)
    return texts


def _renamed(labels: pd.Index, escaped: Callable[[str], str]) -> pd.Index:
    names = [name if name is None else escaped(str(name)) for name in labels.names]
    if isinstance(labels, pd.MultiIndex):
        return pd.MultiIndex.from_tuples(
            [tuple(escaped(_text(part)) for part in label) for label in labels], names=names
        )
    return pd.Index([escaped(_text(label)) for label in labels], name=names[0], dtype=object)


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    """Join the levels of the header and make columns of the labels of rows."""
    columns = [" ".join(label) if isinstance(label, tuple) else str(label) for label in table.columns]
    flat = table.set_axis(pd.Index(columns), axis=1)
    return flat.reset_index(allow_duplicates=True) if _has_labels(table) else flat


def _has_labels(table: pd.DataFrame) -> bool:
    return table.index.names[0] is not None


def _has_dash(table: pd.DataFrame) -> bool:
    return bool(
        table.map(lambda value: _without_dash(value) != value if isinstance(value, str) else False).any(axis=None)
    )


def _without_dash(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    plain = value.removesuffix(_NO_INTERVAL)
    return "" if plain == _DASH else plain


def _text(value: Any) -> str:
    if value is None or value is pd.NA or value != value:
        return ""
    return f"{value:.{_PRECISION}f}" if isinstance(value, float) else str(value)


def _escape_latex(text: str) -> str:
    return text.translate(_LATEX)

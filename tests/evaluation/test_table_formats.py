# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tables as text: nothing lost, names escaped, the best figures in bold."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from monai_synthfm.evaluation.table_formats import (
    best_in_row,
    or_dash,
    to_csv,
    to_html,
    to_latex,
    to_markdown,
    with_interval,
    write_table,
)

_NASTY = "a|b_c & <b>50 %</b> \\{x}"


class Cells(HTMLParser):
    """Texts of the cells of the body of an HTML table, and which are bold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.bold: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.tags.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] in ("td", "th", "b"):
            self.rows[-1][-1] += data
            if self.tags[-1] == "b":
                self.bold.append(data)


@pytest.fixture
def table() -> pd.DataFrame:
    columns = pd.MultiIndex.from_product([["sam", "mine"], ["1p0n", "box"]], names=["model", "prompts"])
    index = pd.MultiIndex.from_tuples([("ct", "liver"), ("ct", "spleen")], names=["modality", "structure"])
    return pd.DataFrame([[50.0, 60.0, 70.0, np.nan], [1.0, 2.0, 0.5, 3.25]], index=index, columns=columns)


def test_the_best_model_with_the_same_prompts_is_marked(table: pd.DataFrame) -> None:
    assert best_in_row(table).to_numpy().tolist() == [[False, True, True, False], [True, False, False, True]]
    assert best_in_row(table, "lowest").to_numpy().tolist() == [[True, True, False, False], [False, True, True, False]]


def test_models_of_two_sources_do_not_compete(table: pd.DataFrame) -> None:
    both = pd.concat({"ours": table, "published": table + 10}, axis=1, names=["source", *table.columns.names])
    assert best_in_row(both)["ours"].to_numpy().tolist() == best_in_row(table).to_numpy().tolist()


def test_one_model_alone_is_not_the_best(table: pd.DataFrame) -> None:
    assert not best_in_row(table[["sam"]]).any(axis=None)


def test_markdown_has_every_figure_in_its_place(table: pd.DataFrame) -> None:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in to_markdown(table).splitlines()]
    assert lines[0] == ["modality", "structure", "sam 1p0n", "sam box", "mine 1p0n", "mine box"]
    assert set(lines[1]) == {"---"}
    assert lines[2] == ["ct", "liver", "50.00", "**60.00**", "**70.00**", ""]
    assert lines[3] == ["ct", "spleen", "**1.00**", "2.00", "0.50", "**3.25**"]


def test_html_has_every_figure_in_its_place(table: pd.DataFrame) -> None:
    cells = Cells(to_html(table))
    assert cells.rows[-2][-5:] == ["liver", "50.00", "60.00", "70.00", ""]
    assert cells.bold == ["60.00", "70.00", "1.00", "3.25"]
    assert not cells.tags


def test_latex_has_every_figure_in_its_place(table: pd.DataFrame) -> None:
    latex = to_latex(table, "Dice")
    assert r"ct & liver & 50.00 & \textbf{60.00} & \textbf{70.00} &  \\" in latex
    assert latex.count(r"\multicolumn{2}{c}") == 2
    assert latex.count("{") == latex.count("}")


def test_csv_is_read_back_with_four_decimals(table: pd.DataFrame) -> None:
    read = pd.read_csv(io.StringIO(to_csv(table)), index_col=["modality", "structure"])
    assert list(read.columns) == ["sam 1p0n", "sam box", "mine 1p0n", "mine box"]
    np.testing.assert_allclose(read.to_numpy(), table.to_numpy(), atol=5e-5)


def test_names_are_escaped_wherever_they_stand() -> None:
    index = pd.Index([_NASTY], name=_NASTY)
    table = pd.DataFrame([[_NASTY]], index=index, columns=pd.Index([_NASTY], name=None))
    html = to_html(table)
    assert "<b>" not in html
    assert {text for line in Cells(html).rows for text in line} == {_NASTY, ""}
    assert all(line.replace(r"\|", "").count("|") == 3 for line in to_markdown(table).splitlines())
    escaped = r"a|b\_c \& \textless{}b\textgreater{}50 \%\textless{}/b\textgreater{} \textbackslash{}\{x\}"
    assert to_latex(table, _NASTY).count(escaped) == 5


def test_long_texts_and_long_tables_are_not_cut() -> None:
    table = pd.DataFrame({"note": ["word " * 60 + "end"] * 150})
    for text in (to_html(table), to_markdown(table), to_latex(table, "notes"), to_csv(table)):
        assert text.count("end\n") + text.count("end |") + text.count("end</td>") + text.count(r"end \\") == 150


def test_an_index_without_a_name_is_not_shown() -> None:
    table = pd.DataFrame({"n": [1, 2]}, index=[70, 80])
    assert "70" not in to_html(table) + to_markdown(table) + to_latex(table, "c") + to_csv(table)


def test_what_is_missing_is_a_dash_with_a_line_below_and_empty_in_csv() -> None:
    nan, dash = float("nan"), "\N{EN DASH}"
    cells = [with_interval(61.5, nan, nan, ".1f"), with_interval(61.5, 50.0, 70.0, ".1f"), or_dash(nan, ".3g")]
    table = pd.DataFrame([cells], columns=["few", "many", "p"])
    line = f"{dash}: no interval and no test, as with fewer than 5 patients."
    *rows, blank, below = to_markdown(table).splitlines()
    assert (rows[-1], blank, below) == (f"| 61.5 [{dash}] | 61.5 [50.0, 70.0] | {dash} |", "", line)
    assert to_html(table).endswith(f'</table>\n<p class="note">{line}</p>')
    latex = to_latex(table, "c")
    assert r"61.5 [--] & 61.5 [50.0, 70.0] & -- \\" in latex
    assert latex.index(r"\end{tabular}") < latex.index(line.replace(dash, "--")) < latex.index(r"\end{table}")
    assert to_csv(table).splitlines()[1] == '61.5,"61.5 [50.0, 70.0]",'
    whole = pd.DataFrame({"many": cells[1:2], "range": [f"1{dash}2"]})
    assert all("no interval" not in text for text in (to_markdown(whole), to_html(whole), to_latex(whole, "c")))


def test_a_table_is_written_in_three_formats(tmp_path: Path, table: pd.DataFrame) -> None:
    write_table(table, tmp_path, "dice", "Dice")
    assert {path.name for path in tmp_path.iterdir()} == {"dice.md", "dice.tex", "dice.csv"}
    assert (tmp_path / "dice.tex").read_text() == to_latex(table, "Dice")

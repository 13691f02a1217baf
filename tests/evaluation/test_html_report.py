# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The page of an evaluation: self-contained, escaped, whole, and the same for the same rows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from monai_synthfm.evaluation.figures import Example
from monai_synthfm.evaluation.html_report import write_report
from monai_synthfm.evaluation.provenance import Provenance
from monai_synthfm.evaluation.results_table import make_rows
from monai_synthfm.prompts import Prompts
from monai_synthfm.utils.versions import package_versions
from tests.evaluation.made_rows import random_rows, row

_EMPTY_TAGS = {"meta", "img", "br"}


class Page(HTMLParser):
    """What a page refers to, says, and whether its tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.addresses: list[str] = []
        self.anchors: set[str] = set()
        self.words = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in _EMPTY_TAGS:
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        self.anchors |= {value or "" for name, value in attrs if name == "id"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def load_example(record: Mapping[str, Any]) -> Example:
    image = np.tile(np.linspace(0, 1, 24), (20, 1))
    return Example(image, image > 0.5, image > record["dsc"], Prompts())


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    prompts = ("1p0n", "1p2n", "interactive-01", "interactive-02")
    table = random_rows(models=("sam", "<script>alert(1)</script>"), prompts=prompts)
    pictures = [
        row(model=m, modality="us", structure="head", slice_index=-1, nsd=float("nan"), spacing_known=False)
        for m in set(table.model)
    ]
    return make_rows(pd.concat([table, pd.DataFrame(pictures)]))


@pytest.fixture(scope="module")
def provenance() -> Provenance:
    return Provenance(
        weights=[
            {"model": "sam", "image_size": 1024, "files": [{"file": "sam_vit_b.pth", "sha256": "ab" * 32}]},
            {"model": "<script>alert(1)</script>"},
        ],
        settings={"smallest_object": 100, "root": "<mine>"},
        skips=[
            {"dataset": "chaos_ct", "case_id": "17", "code": "broken", "message": "no <such> file"},
            {"dataset": "chaos_ct", "case_id": "18", "code": "too_small", "message": "too small", "components": 3},
        ],
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, rows: pd.DataFrame, provenance: Provenance) -> Path:
    path = tmp_path_factory.mktemp("report")
    assert write_report(path, rows, "A & B", provenance, [1, 2], load_example) == path / "report.html"
    return path


def test_the_page_needs_nothing_from_outside(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert page.addresses
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= page.anchors
    assert not page.seen & {"script", "link", "iframe", "object"}
    assert not re.search(r"url\(|@import", text)


def test_names_are_shown_as_they_are_and_never_as_markup(folder: Path) -> None:
    words = Page((folder / "report.html").read_text()).words
    for text in ("A & B", "<script>alert(1)</script>", "<mine>", "no <such> file"):
        assert text in words


def test_the_page_has_tables_figures_and_provenance(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    words = Page(text).words
    # Curves, a box plot for each of three modalities, a gallery for each of them and each of two models.
    assert text.count("<img ") == 1 + 3 + 6
    for heading in ("Results", "Interactive runs", "Comparisons of models", "Worst, median, best", "Provenance"):
        assert heading in words
    for fact in (
        f"sam_vit_b.pth (sha256 {'ab' * 32})",
        "NSD by structure, %, tolerance 2 mm",
        "smallest_object",
        package_versions()["monai"],
        "Table 1 of the paper",
        "MedSAM2",
        "NoC@80",
    ):
        assert fact in words


def test_tables_are_files_as_well(folder: Path) -> None:
    names = {path.stem for path in folder.glob("*.csv")}
    assert {"dsc", "dsc_by_modality", "dsc_volumes", "nsd", "hd95_mm", "hd95_px"} <= names
    assert {"comparisons", "interaction", "paper_table1", "paper_table2", "data", "skips", "contamination"} <= names
    assert {path.stem for path in folder.glob("*.md")} == {path.stem for path in folder.glob("*.tex")} == names


def test_figures_on_the_page_are_computed_from_the_rows(folder: Path, rows: pd.DataFrame) -> None:
    table = pd.read_csv(folder / "dsc.csv", index_col=["modality", "structure"])
    part = rows[(rows.model == "sam") & (rows.modality == "mr") & (rows.prompts == "1p2n")]
    mean = 100 * part.groupby("patient_id").dsc.mean().mean()
    assert table.loc[("mr", "spleen"), "sam 1p2n"] == pytest.approx(mean, abs=5e-5)
    assert f"{mean:.2f}" in Page((folder / "report.html").read_text()).words


def test_counts_are_whole_numbers_where_others_have_none(folder: Path) -> None:
    header, _, broken, small = (
        [c.strip() for c in line.split("|")] for line in (folder / "skips.md").read_text().splitlines()
    )
    assert [row[header.index("components")] for row in (broken, small)] == ["", "3"]
    assert "1024.0" not in (folder / "report.html").read_text()


def test_provenance_is_a_file_of_its_own(folder: Path, provenance: Provenance) -> None:
    assert json.loads((folder / "provenance.json").read_text()) == asdict(provenance)


def test_with_one_slice_a_case_each_figure_stands_once(tmp_path: Path) -> None:
    areas = {"area_target": 100, "area_pred": 100}
    made = [row(case_id=p, patient_id=p, dsc=n / 100, intersection=n, **areas) for p, n in (("a", 50), ("b", 80))]
    one = make_rows(made)
    page = Page(write_report(tmp_path / "one", one, "t").read_text())
    assert page.words.count("65.00") == 2  # by modality and by structure
    assert "DSC by structure, slices stacked to volumes, %: the same figures as in dsc." in page.words
    assert not {"dsc_slices", "dsc_volumes"} & {path.stem for path in (tmp_path / "one").iterdir()}
    smaller = {"area_target": 50, "area_pred": 50, "intersection": 5}
    more = make_rows([*made, row(case_id="b", patient_id="b", slice_index=9, dsc=0.1, **smaller)])
    write_report(tmp_path / "more", more, "t")
    assert {"dsc_slices", "dsc_volumes"} <= {path.stem for path in (tmp_path / "more").iterdir()}


def test_interactive_clicks_are_no_columns_of_the_tables(folder: Path) -> None:
    assert "interactive" not in (folder / "dsc.csv").read_text()


def test_the_same_rows_give_the_same_files(
    folder: Path, tmp_path: Path, rows: pd.DataFrame, provenance: Provenance
) -> None:
    write_report(tmp_path, rows, "A & B", provenance, [1, 2], load_example)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {p.name: p.read_bytes() for p in folder.iterdir()}


def test_a_report_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def fail(record: Mapping[str, Any]) -> Example:
        raise OSError(f"{record['case_id']} is gone")

    with pytest.raises(OSError, match="p1 is gone"):
        write_report(tmp_path / "report", make_rows([row()]), "t", load_example=fail)
    assert not list(tmp_path.iterdir())


def test_one_row_of_one_model_is_enough(tmp_path: Path) -> None:
    text = write_report(tmp_path, make_rows([row()]), "t").read_text()
    assert "Comparisons" not in text
    assert "No case was left out." in text


def test_interactive_runs_alone_are_enough(tmp_path: Path) -> None:
    table = make_rows([row(prompts=f"interactive-{k:02d}") for k in (1, 2)])
    page = Page(write_report(tmp_path, table, "t", load_example=load_example).read_text())
    assert "NoC@80" in page.words
    assert "results" not in page.anchors


def test_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no rows"):
        write_report(tmp_path / "report", make_rows([]), "t")
    assert not list(tmp_path.iterdir())

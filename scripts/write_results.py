# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Write the tables of results into README, the card and the pages, from docs/results.csv and results_volumes.csv.

python scripts/write_results.py                         # the tables, from the figures as they are
python scripts/write_results.py --rows eval/dev_shared  # first the figures, from a run of configs/dev_shared.yaml
                                                        # or from several, each of some of its models
python scripts/write_results.py --volume_rows eval/dev_shared_volumes  # the same of configs/dev_shared_volumes.yaml;
                                                        # models that are not in it keep their figures
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pandas as pd

from monai_synthfm.evaluation.aggregation import FEWEST_PATIENTS
from monai_synthfm.evaluation.intervals import mean_intervals
from monai_synthfm.evaluation.results_table import read_rows

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "results.csv"
VOLUME_FIGURES = ROOT / "docs" / "results_volumes.csv"
PAGES = (ROOT / "README.md", *(ROOT / "docs" / name for name in ("index.md", "results.md")))
CARD = ROOT / "bundles" / "synthfm_sam" / "docs" / "README.md"
PROMPTS = {"1p0n": "(1,0)", "1p2n": "(1,2)", "3p0n": "(3,0)", "3p2n": "(3,2)", "box": "box"}
VOLUME_PROMPTS = {"1p0n": "(1,0)", "3p2n": "(3,2)", "box": "box", "mask": "true mask"}
CLICKS = {"challenge-00": "box and ends"} | {f"challenge-{k:02d}": f"{k} click{'s' * (k > 1)}" for k in range(1, 6)}
"""Prompts of the interactive protocol of the CVPR 2025 challenge in volumes."""
WHERE = "@largest/both"
"""What follows the name of a prompt in rows of volumes: on which slice, and in which directions from there."""
MODALITIES = {"ct": "CT", "mr": "MR", "us": "ultrasound", "xray": "X-ray", "microscopy": "microscopy"}
MODELS = [f"MobileSAM {name}" for name in ("1024", "512", "512, contrast", "512, contrast, zoom")]
BETTER = "MobileSAM, better size"
TRAINED = ["SynthFM", "SynthFM, zoom"]
OF_THREE = ", best of three"
"""What follows the name of a model in its row with the best of three masks by predicted IoU for a single click."""


def measured(rows: pd.DataFrame) -> pd.DataFrame:
    """
    Take the means and intervals of a run, in percent.

    Args:
        rows: of the evaluation of configs/dev_shared.yaml.

    Returns:
        Columns modality, patients, model, prompts, mean, low and high, as in docs/results.csv.

    Raises:
        ValueError: when the run has nothing of this.
    """
    found = mean_intervals(rows[rows.prompts.isin(PROMPTS)])
    every = [f"{name}{kind}" for name in (*MODELS, BETTER, *TRAINED) for kind in ("", OF_THREE)]
    found = found[found.model.isin(every)].rename(columns={"n_patients": "patients"})
    found[["mean", "low", "high"]] = (found[["mean", "ci_low", "ci_high"]] * 100).round(1)
    few = found.patients < FEWEST_PATIENTS  # the zero-shot network then has one row
    sizes = found[few & found.model.isin(MODELS[:2])]
    better = sizes.groupby(["modality", "patients", "prompts"], as_index=False)["mean"].max().assign(model=BETTER)
    alone = found[few & found.model.str.removesuffix(OF_THREE).isin(TRAINED)].assign(
        low=float("nan"), high=float("nan")
    )
    table = pd.concat([found[~few], better, alone], ignore_index=True)
    order = {
        "modality": [*MODALITIES],
        "model": every,
        "prompts": [*PROMPTS],
    }
    return _ordered(table, order)


def measured_volumes(rows: pd.DataFrame) -> pd.DataFrame:
    """
    Take the means and intervals of 3D Dice of a run, in percent.

    Args:
        rows: of the evaluation of configs/dev_shared_volumes.yaml.

    Returns:
        the columns of :func:`measured`, as in docs/results_volumes.csv, in the order in which the models ran.

    Raises:
        ValueError: when the run has nothing of this.
    """
    asked = rows[rows.prompts.isin([*(f"{name}{WHERE}" for name in VOLUME_PROMPTS), *CLICKS])]
    asked = asked.assign(prompts=asked.prompts.str.removesuffix(WHERE))
    found = mean_intervals(asked).rename(columns={"n_patients": "patients"})
    found[["mean", "low", "high"]] = (found[["mean", "ci_low", "ci_high"]] * 100).round(1)
    return _ordered(found[found.modality.isin(MODALITIES)], _volume_order(asked))


def updated_volumes(figures: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Put the figures of :func:`measured_volumes` in the place of those of the same models, and keep the others."""
    table = pd.concat([before[~before.model.isin(figures.model)], figures], ignore_index=True)
    return _ordered(table, _volume_order(pd.concat([before, figures])))


def _volume_order(rows: pd.DataFrame) -> dict[str, list[str]]:
    return {"modality": [*MODALITIES], "model": [*rows.model.unique()], "prompts": [*VOLUME_PROMPTS, *CLICKS]}


def _ordered(table: pd.DataFrame, order: dict[str, list[str]]) -> pd.DataFrame:
    if table.empty:
        expected = "; ".join(f"{name} {', '.join(values)}" for name, values in order.items() if values)
        raise ValueError(f"the run has no rows that the tables show, expected some of {expected}.")
    for name, values in order.items():
        table[name] = pd.Categorical(table[name], values, ordered=True)
    columns = ["modality", "patients", "model", "prompts", "mean", "low", "high"]
    return table.sort_values([*order])[columns].astype(dict.fromkeys(order, str)).reset_index(drop=True)


def full_table(figures: pd.DataFrame, names: dict[str, str] = PROMPTS) -> str:
    """Lay out all figures of prompts of these names, the best mean of each modality and prompt in bold.

    What a model was not asked has an empty cell.
    """
    figures = figures[figures.prompts.isin(names)]
    lines = [f"| modality | patients | model | {' | '.join(names.values())} |", "|---" * (3 + len(names)) + "|"]
    for modality, part in figures.groupby("modality", sort=False):
        means = part.pivot(index="model", columns="prompts", values="mean")
        for row, (model, cells) in enumerate(part.groupby("model", sort=False)):
            head = (MODALITIES[str(modality)], str(cells.patients.iloc[0])) if row == 0 else ("", "")
            found = {str(cell["prompts"]): cell for _, cell in cells.iterrows()}
            texts = [
                _cell(found[prompts], bool(found[prompts]["mean"] == means[prompts].max())) if prompts in found else ""
                for prompts in names
            ]
            lines.append("| " + " | ".join([*head, str(model), *texts]) + " |")
    return re.sub(r"\|  (?=\|)", "| ", "\n".join(lines))


def short_table(figures: pd.DataFrame) -> str:
    """Lay out one click and a box for the three large modalities, beside the best zero-shot answer of any input."""
    columns = ["modality", "one click, zero-shot", "one click, SynthFM", "box, zero-shot", "box, SynthFM"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    means = figures.pivot(index=["modality", "model"], columns="prompts", values="mean")
    for modality in list(MODALITIES)[:3]:
        part = means.loc[modality]
        cells = [
            text
            for prompts in ("1p0n", "box")
            for text in (f"{part.loc[MODELS, prompts].max():.1f}", f"{part.loc['SynthFM', prompts]:.1f}")
        ]
        lines.append(f"| {' | '.join([MODALITIES[modality], *cells])} |")
    return "\n".join(lines)


def _cell(cell: pd.Series, best: bool) -> str:
    mean = f"**{cell['mean']:.1f}**" if best else f"{cell['mean']:.1f}"
    return mean if pd.isna(cell.low) else f"{mean} [{cell.low:.1f}, {cell.high:.1f}]"


def fill(page: str, tables: dict[str, str]) -> str:
    """Put tables between the comments that name them.

    Raises:
        ValueError: when the page has no such place.
    """
    filled, count = page, 0
    for name, table in tables.items():
        text = f"<!-- {name} -->\n\n{table}\n\n<!-- /{name} -->"
        filled, found = re.subn(f"<!-- {name} -->.*?<!-- /{name} -->", lambda _, t=text: t, filled, flags=re.DOTALL)
        count += found
    if count == 0:
        raise ValueError(f"the page has no place for {' or '.join(tables)}: <!-- name --> and <!-- /name -->.")
    return filled


def all_tables(figures: pd.DataFrame, volume_figures: pd.DataFrame) -> dict[str, str]:
    """Make the tables of what the files of figures hold, by the names of their places."""
    return {
        "results": full_table(figures),
        "results in short": short_table(figures),
        "results of volumes": full_table(volume_figures, VOLUME_PROMPTS),
        "results of corrections": full_table(volume_figures, CLICKS),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rows", type=Path, nargs="+", help="output folder of configs/dev_shared.yaml, or those of runs of some models"
    )
    parser.add_argument("--volume_rows", type=Path, nargs="+", help="the same of configs/dev_shared_volumes.yaml")
    arguments = parser.parse_args()
    figures = measured(pd.concat(map(read_rows, arguments.rows))) if arguments.rows else pd.read_csv(FIGURES)
    volumes, volume_figures = arguments.volume_rows, pd.read_csv(VOLUME_FIGURES)
    if volumes:
        volume_figures = updated_volumes(measured_volumes(pd.concat(map(read_rows, volumes))), volume_figures)
    tables = all_tables(figures, volume_figures)
    pages = {page: fill(page.read_text(encoding="utf-8"), tables) for page in (*PAGES, CARD)}
    if arguments.rows:
        figures.to_csv(FIGURES, index=False, lineterminator="\n")
    if volumes:
        volume_figures.to_csv(VOLUME_FIGURES, index=False, lineterminator="\n")
    for page, text in pages.items():
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

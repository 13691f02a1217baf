# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
The report of an evaluation: one HTML page that holds its pictures and needs nothing from outside, and table files.

Every figure on the page is computed from the table of rows. Same rows, same page: it has no date.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from monai_synthfm.evaluation.aggregation import INTERACTIVE, data_counts, interaction_scores, pooled
from monai_synthfm.evaluation.figures import (
    Example,
    ExampleLoader,
    box_plots,
    click_curves,
    data_uri,
    draw_examples,
    pick_examples,
)
from monai_synthfm.evaluation.intervals import interval_columns, interval_table, mean_intervals
from monai_synthfm.evaluation.metrics import NSD_TOLERANCE_MM
from monai_synthfm.evaluation.provenance import Provenance, contamination_table
from monai_synthfm.evaluation.results_table import volume_rows
from monai_synthfm.evaluation.slice_profiles import UNITS, distance_curve
from monai_synthfm.evaluation.statistics import compare_models, compare_scores
from monai_synthfm.evaluation.table_formats import Best, to_csv, to_html, write_table
from monai_synthfm.evaluation.tables import (
    INTERACTION_SCORES,
    PAPER_PROMPTS,
    comparison_table,
    interaction_table,
    paper_table,
    score_table,
    shortfall_table,
)
from monai_synthfm.evaluation.volume_figures import distance_curves
from monai_synthfm.evaluation.volume_tables import distance_table, volume_tables
from monai_synthfm.utils.atomic_files import staged_files

__all__ = ["write_report"]

_PAPER_CAPTIONS = {
    1: "Table 1 of the paper (DSC, %): ours, and published in arXiv 2504.08177; means of structures with all figures",
    2: "Table 2 of the paper (DSC, %), ablation of the modules: ours, and published in arXiv 2504.08177",
    3: "Table 3 of the paper (DSC, %), microscopy: ours, and published in arXiv 2504.08177",
}


def write_report(
    folder: str | Path,
    rows: pd.DataFrame,
    title: str,
    provenance: Provenance | None = None,
    paper_tables: Sequence[int] = (),
    load_example: ExampleLoader | None = None,
    slices: pd.DataFrame | None = None,
) -> Path:
    """
    Write ``report.html``, each of its tables as Markdown, LaTeX and CSV, and ``provenance.json``; all files appear
    together or none.

    Args:
        folder: where to; created when missing.
        rows: the table of rows.
        title: of the page.
        provenance: where the results come from; None says the versions of the software only.
        paper_tables: numbers of tables of the paper to lay ours beside, see
            :func:`~monai_synthfm.evaluation.tables.paper_table`.
        load_example: makes the pictures of the gallery; None leaves the gallery out.
        slices: the table of slices behind rows of whole volumes; None leaves curves over the distance out.

    Returns:
        The path of the page.

    Raises:
        ValueError: when there are no rows, or none belongs to a table of the paper that is asked for.
    """
    if rows.empty:
        raise ValueError("there are no rows to report.")
    fixed = rows[~rows.prompts.str.match(INTERACTIVE)]
    of_volumes = volume_rows(fixed)
    if slices is not None:
        slices = slices[~slices.prompts.str.match(INTERACTIVE)]
    provenance = provenance or Provenance()
    with staged_files(folder) as stage:
        tables = _Tables(stage)
        sections = {
            "Results": _results(tables, fixed[~of_volumes], paper_tables),
            "Volumes": _volumes(tables, fixed[of_volumes]),
            "Distance from the prompted slice": _distances(tables, slices),
            "Interactive runs": _interactive(tables, rows),
            "Comparisons of models": _comparisons(tables, fixed),
            "Spread over patients": _box_plots(fixed),
            "Worst, median, best": _gallery(rows, load_example),
            "Data": _data(tables, rows, provenance),
            "Provenance": _provenance(provenance),
        }
        text = json.dumps(asdict(provenance), indent=1, default=str) + "\n"
        (stage / "provenance.json").write_text(text, encoding="utf-8")
        (stage / "report.html").write_text(_page(title, sections), encoding="utf-8")
    return Path(folder) / "report.html"


@dataclass(frozen=True)
class Block:
    """A part of a section; what is empty is not shown. ``alt`` stands for the image."""

    heading: str = ""
    note: str = ""
    table: pd.DataFrame | None = None
    best: Best = "highest"
    image: str = ""
    alt: str = ""


class _Tables:
    """Tables that go to the page and to files of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._texts: dict[str, str] = {}

    def add(self, name: str, caption: str, table: pd.DataFrame, best: Best = "highest", unlike: str = "") -> Block:
        """Add a table, or a note where its figures are those of the table ``unlike``, as with one slice a case."""
        self._texts[name] = to_csv(table)
        if self._texts[name] == self._texts.get(unlike):
            return _note(f"{caption}: the same figures as in {unlike}.")
        write_table(table, self.folder, name, caption, best)
        return Block(caption, table=table, best=best)


def _results(tables: _Tables, rows: pd.DataFrame, paper_tables: Sequence[int]) -> Iterable[Block]:
    if rows.empty:
        return
    yield _note(
        "Means over the slices of a patient, then over patients, unless said otherwise; the best model with the same "
        "prompts is bold. 1p2n: one positive and two negative clicks. An empty prediction has DSC 0, NSD 0 and the "
        "image diagonal as HD95."
    )
    modalities = ("modality",)
    yield tables.add("dsc_by_modality", "DSC by modality, mean over structures, %", score_table(rows, by=modalities))
    caption = "The same with its 95 % interval, bootstrap over patients"
    yield tables.add("dsc_intervals", caption, interval_table(mean_intervals(rows)))
    for number in paper_tables:
        yield tables.add(f"paper_table{number}", _PAPER_CAPTIONS[number], paper_table(rows, number))
    yield tables.add("dsc", "DSC by structure, %", score_table(rows))
    caption = "DSC by structure, mean over all slices, %"
    yield tables.add("dsc_slices", caption, score_table(rows, unit="slice"), unlike="dsc")
    if (rows.slice_index >= 0).any():
        volumes = rows[rows.slice_index >= 0]
        caption = "DSC by structure, slices stacked to volumes, %"
        yield tables.add("dsc_volumes", caption, score_table(volumes, unit="volume"), unlike="dsc")
    known = rows[rows.spacing_known]
    if len(known):
        caption = f"NSD by structure, %, tolerance {NSD_TOLERANCE_MM:g} mm, where the spacing is known"
        yield tables.add("nsd", caption, score_table(known, "nsd"))
        yield tables.add("hd95_mm", "HD95 by structure, mm", score_table(known, "hd95"), "lowest")
    if not rows.spacing_known.all():
        caption = "HD95 by structure, pixels, where the spacing is not known"
        yield tables.add("hd95_px", caption, score_table(rows[~rows.spacing_known], "hd95"), "lowest")


def _volumes(tables: _Tables, rows: pd.DataFrame) -> Iterable[Block]:
    if rows.empty:
        return
    yield _note(
        "One slice of a volume is prompted, the object is followed through the others, and the whole mask is scored in "
        "3D; means over patients. 1p0n@largest/both: one positive click on the slice where the object is "
        "largest, followed both ways; first, middle: of the slices that show the object. The model with the best mean "
        "is bold. An empty prediction has DSC 0, NSD 0 and the diagonal of the volume as HD95."
    )
    for name, (caption, table, best) in volume_tables(rows).items():
        yield tables.add(name, caption, table, best)


def _distances(tables: _Tables, slices: pd.DataFrame | None) -> Iterable[Block]:
    curves = {} if slices is None else {unit: distance_curve(pooled(slices), unit) for unit in UNITS}
    if any(map(len, curves.values())):
        yield _note(
            "DSC of the slices that show the target, by their distance from the prompted slice on either side: means "
            "over the slices of a patient, then over patients, then over structures, with the 95 % interval over "
            "patients. Each step reaches from the one before it. Far steps hold large structures alone. Between frames "
            "of a sequence there are no mm."
        )
    for unit, curve in curves.items():
        if len(curve):
            caption = f"DSC (%) up to so many {unit} from the prompted slice"
            yield tables.add(f"volume_distance_{unit}", caption, distance_table(curve))
            yield _picture(distance_curves(curve, unit), f"DSC over distance in {unit}")


def _interactive(tables: _Tables, rows: pd.DataFrame) -> Iterable[Block]:
    table = interaction_table(rows)
    if len(table):
        yield _note(
            "NoC@80: clicks until the DSC is 80 %, the number of the last click where it never is. AUC: area under the "
            "curve of DSC or NSD over the clicks, 100 % at most. challenge: the rule of the CVPR 2025 challenge, a box "
            "(in volumes with the first and the last slice) and clicks on the largest error; its own AUC of 5 clicks "
            "is 4 times the share given here. "
            f"NSD has a tolerance of {NSD_TOLERANCE_MM:g} mm."
        )
        yield tables.add("interaction", "Clicks needed", table)
        scores = pooled(interaction_scores(rows).rename(columns={"series": "prompts"}))
        caption = "Interactive runs: mean over structures with its 95 % interval, bootstrap over patients"
        yield tables.add("interaction_intervals", caption, interval_columns(scores, INTERACTION_SCORES))
        tests = comparison_table(compare_scores(scores, INTERACTION_SCORES))
        if len(tests):
            yield tables.add("interaction_tests", "Interactive runs: every model against every other", tests)
        yield _picture(click_curves(rows), "DSC over clicks: mean over patients and quartiles")


def _comparisons(tables: _Tables, rows: pd.DataFrame) -> Iterable[Block]:
    if rows.model.nunique() > 1:
        yield _note(
            "Paired by patient, same masks and clicks. Holm: adjusted for all rows of this table. Interval: bootstrap "
            "over patients (BCa). The paper reports the t-test."
        )
        caption = "Number of structures with a DSC more than 3 points below that of the best other model"
        yield tables.add("shortfalls", caption, shortfall_table(rows))
        by_modality = comparison_table(compare_models(rows, by=("modality", "prompts")))
        yield tables.add("comparisons_by_modality", "Every model against every other by modality (DSC)", by_modality)
        by_structure = comparison_table(compare_models(rows))
        yield tables.add("comparisons", "Every model against every other by structure (DSC)", by_structure)


def _box_plots(rows: pd.DataFrame) -> Iterable[Block]:
    for modality, part in rows.groupby("modality"):
        yield _picture(box_plots(part), f"DSC of patients, {modality}", heading=str(modality))


def _gallery(rows: pd.DataFrame, load_example: ExampleLoader | None) -> Iterable[Block]:
    if load_example is None:
        return
    there = set(rows.prompts)
    prompts = next((name for name in (*PAPER_PROMPTS, "1p0n@largest/both") if name in there), min(there))
    yield _note(
        f"Prompts {prompts}. Target: green; prediction: orange, dashed; positive clicks: blue discs; negative clicks: "
        "red crosses."
    )
    for (model, modality), part in pick_examples(rows[rows.prompts == prompts]).groupby(["model", "modality"]):
        drawn = [_example(row, load_example) for row in part.to_dict("records")]
        alt = f"worst, median and best of {model} on {modality}"
        yield _picture(draw_examples(drawn), alt, "png", f"{model}, {modality}")


def _example(row: Mapping[str, Any], load_example: ExampleLoader) -> tuple[str, Example]:
    place = f", slice {row['slice_index']}" if row["slice_index"] >= 0 else ""
    title = f"{row['rank']}: DSC {100 * row['dsc']:.1f}\n{row['structure']}\n{row['dataset']} {row['case_id']}{place}"
    return title, load_example(row)


def _data(tables: _Tables, rows: pd.DataFrame, provenance: Provenance) -> Iterable[Block]:
    yield tables.add("data", "What was evaluated", data_counts(rows))
    if provenance.skips:
        yield tables.add("skips", f"What was not, and why ({len(provenance.skips)})", _of_records(provenance.skips))
    else:
        yield Block(note="No case was left out.")
    yield tables.add("contamination", "Evaluated data in the training of models", contamination_table())


def _provenance(provenance: Provenance) -> Iterable[Block]:
    if provenance.weights:
        named = [{**record, "files": _files(record.get("files", ()))} for record in provenance.weights]
        yield Block("Weights", table=_of_records(named))
    for caption, facts in (("Settings", provenance.settings), ("Versions", provenance.versions)):
        if facts:
            yield Block(caption, table=pd.DataFrame(facts.items(), columns=["name", "value"]))


def _files(files: Iterable[Mapping[str, str]]) -> str:
    return "; ".join(f"{file['file']} (sha256 {file['sha256']})" for file in files)


def _of_records(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Make a table of records that lack entries, in which whole numbers stay whole."""
    return pd.DataFrame(records).convert_dtypes()


def _note(text: str) -> Block:
    return Block(note=text)


def _picture(figure: Figure, alt: str, kind: Literal["svg", "png"] = "svg", heading: str = "") -> Block:
    return Block(heading, image=data_uri(figure, kind), alt=alt)


def _page(title: str, sections: Mapping[str, Iterable[Block]]) -> str:
    environment = Environment(autoescape=True, trim_blocks=True, undefined=StrictUndefined, keep_trailing_newline=True)
    template = environment.from_string((files("monai_synthfm.evaluation") / "html_report.html.j2").read_text("utf-8"))
    return template.render(
        title=title,
        sections={name: list(blocks) for name, blocks in sections.items()},
        anchor=lambda name: name.lower().replace(" ", "-").replace(",", ""),
        html=lambda table, best: Markup(to_html(table, best)),
    )

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Tests of the HC18 reader on a replica, and of its ellipses on real heads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_synthfm.data.datasets.checks import check_data
from monai_synthfm.data.datasets.ellipses import fit_ellipse, outline_points
from monai_synthfm.data.datasets.hc18 import Hc18Dataset
from tests.replicas.hc18 import IMAGES, inside, write_hc18


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_hc18(tmp_path)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_repeats_of_one_fetus_share_a_patient(root: Path) -> None:
    dataset = Hc18Dataset(root)
    assert {case["case_id"]: case["patient_id"] for case in dataset.data} == {
        "000_HC": "000",
        "001_HC": "001",
        "010_2HC": "010",
        "010_HC": "010",
        "186_HC": "186",
    }
    assert dataset.data[0]["spacing"] == [0.5, 0.5]


def test_every_kind_of_annotation_is_filled_to_the_true_head(root: Path) -> None:
    for sample in Hc18Dataset(root):
        name = sample["case_id"]
        assert sample["image"].shape == (1, *IMAGES[name][0])
        mask = sample.mask("fetal_head")
        assert dice(mask, inside(name)) > 0.975, name
        assert mask[inside(name)].all(), name


def test_a_filled_copy_gives_the_mask_of_its_outline(root: Path) -> None:
    before = {sample["case_id"]: sample.mask("fetal_head") for sample in Hc18Dataset(root)}
    for name, mask in before.items():
        Image.fromarray((mask * 255).astype(np.uint8)).convert("RGB").save(root / f"{name}_Annotation.png")
    for sample in Hc18Dataset(root):
        assert dice(sample.mask("fetal_head"), before[sample["case_id"]]) > 0.99


def test_copies_without_zeros_and_with_the_table_inside_are_read(root: Path) -> None:
    for path in [*root.glob("*.png")]:
        number, rest = path.name.split("_", 1)
        path.rename(root / f"{int(number)}_{rest}")
    table = "training_set_pixel_size_and_HC.csv"
    (root.parent / table).rename(root / table)
    assert [case["patient_id"] for case in Hc18Dataset(root).data] == ["000", "001", "010", "010", "186"]


def test_replica_is_sane_and_partial(root: Path) -> None:
    report = check_data("hc18", root.parent, progress=False)
    assert report["sane"], report["faults"]
    assert (report["status"], report["found"]) == ("partial", {"training": 5})
    assert report["findings"]["Dice of the ellipse and the filled outline"]["n"] == 4


def clear(root: Path) -> None:
    Image.new("L", (160, 108)).save(root / "000_HC_Annotation.png")


def line(root: Path) -> None:
    values = np.zeros((108, 160), np.uint8)
    values[40, 20:90] = 255
    Image.fromarray(values).save(root / "000_HC_Annotation.png")


def scaled(root: Path) -> None:
    path = root / "000_HC_Annotation.png"
    shrunk = Image.open(path).resize((130, 88), Image.Resampling.NEAREST)
    canvas = Image.new("L", (160, 108))
    canvas.paste(shrunk)
    canvas.save(path)


def half_outline(root: Path) -> None:
    values = np.asarray(Image.open(root / "000_HC_Annotation.png")).copy()
    values[52:] = 0
    Image.fromarray(values).save(root / "000_HC_Annotation.png")


def drop_row(root: Path) -> None:
    path = root.parent / "training_set_pixel_size_and_HC.csv"
    path.write_text("\n".join(row for row in path.read_text().splitlines() if not row.startswith("000_HC")))


def cut_short(root: Path) -> None:
    path = root / "000_HC.png"
    path.write_bytes(path.read_bytes()[:900])


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        (lambda root: (root / "000_HC_Annotation.png").unlink(), "missing_label"),
        (lambda root: (root / "000_HC.png").unlink(), "missing_image"),
        (lambda root: Image.new("L", (160, 107)).save(root / "000_HC.png"), "shape_mismatch"),
        (lambda root: (root / "head.png").write_bytes((root / "000_HC.png").read_bytes()), "unexpected_name"),
        (lambda root: (root.parent / "training_set_pixel_size_and_HC.csv").unlink(), "no_metadata"),
        (drop_row, "no_metadata"),
        (cut_short, "unreadable"),
        (clear, "unexpected_label"),
        (line, "unexpected_label"),
        (scaled, "implausible"),
        (half_outline, "implausible"),
    ],
)
def test_planted_fault_is_found_and_named(root: Path, plant, code: str) -> None:
    plant(root)
    report = check_data("hc18", root.parent, progress=False)
    assert {fault["code"] for fault in report["faults"]} == {code}


def test_real_filled_heads_are_ellipses(shared_dir: Path) -> None:
    paths = sorted((shared_dir / "hc18").glob("*_mask.png"))
    assert len(paths) > 10
    for path in paths:
        marked = np.asarray(Image.open(path)) > 0
        again = fit_ellipse(outline_points(marked)).mask(marked.shape, margin=0.5)
        assert dice(again, marked) > 0.998, path.name

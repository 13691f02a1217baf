# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The page of parameters names all parameters of the generators, and shows the pictures that its script draws."""

from __future__ import annotations

import inspect
import re
import runpy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_synthfm import transforms
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
GENERATORS = re.findall(r"`(Rand\w+)`", "\n".join(re.findall(r"^## .+$", PAGE, re.M)))
SHARED = {"self", "spatial_size", "device"}
WHOLE = {"shapes", "boundary", "intensity", "anatomy", "acquisition", "label_map", "structure", "appearance"}
"""Generators within generators, which have sections of their own, or are of volumes."""


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "make_parameter_pictures.py"))


@pytest.mark.parametrize("name", GENERATORS)
def test_every_parameter_is_explained(name: str) -> None:
    parameters = set(inspect.signature(getattr(transforms, name).__init__).parameters)
    assert {word for word in parameters - SHARED - WHOLE if f"`{word}`" not in PAGE} == set()


def test_the_page_shows_the_pictures_of_the_script(script: dict[str, Any]) -> None:
    shown = re.findall(r"\(parameters/(\w+)\.png\)", PAGE)
    assert sorted(shown) == sorted(script["STRIPS"])
    assert {path.stem for path in (ROOT / "docs" / "parameters").glob("*.png")} == set(shown)


@pytest.mark.parametrize("name", ["radius", "contrast", "wall_prob", "gamma", "module"])
def test_a_strip_changes_with_its_parameter(script: dict[str, Any], name: str, tmp_path: Path) -> None:
    pictures = script["STRIPS"][name]()
    values = [value for value, _ in pictures]
    assert len(set(values)) == len(values) > 1
    assert all((first != second).any() for (_, first), (_, second) in pairwise(pictures))
    script["draw"](pictures, tmp_path / "strip.png")
    strip = np.asarray(Image.open(tmp_path / "strip.png").convert("L"))
    assert strip.shape[1] > 150 * len(pictures)
    assert len(np.unique(strip)) > 4

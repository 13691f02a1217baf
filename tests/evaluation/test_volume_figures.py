# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Views of volumes for the gallery: which planes, turned how; and curves over the distance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from monai_synthfm.data.case_preprocessing import MedSAMPreprocessing
from monai_synthfm.data.case_volumes import CaseVolume, CutIntoVolume
from monai_synthfm.evaluation.figures import draw_examples
from monai_synthfm.evaluation.volume_figures import distance_curves, volume_example
from monai_synthfm.evaluation.volume_plan import PlannedPrompt
from monai_synthfm.prompts import Prompts
from tests.evaluation.volume_stand_ins import Volumes


def test_a_curve_has_a_line_for_each_model_in_a_panel_for_each_prompt() -> None:
    steps = {"masks": [0.0, 1.0, 2.0], "memory": [0.0, 1.0, 2.0, 4.0]}
    curve = pd.DataFrame(
        {"model": m, "modality": "ct", "prompts": p, "reach": r, "mean": 0.9 - r / 10, "ci_low": 0.1, "ci_high": 0.95}
        for m, reaches in steps.items()
        for p in ("box@largest/both", "mask@largest/both")
        for r in reaches
    )
    figure = distance_curves(curve, "mm")
    assert [ax.get_title() for ax in figure.axes] == ["ct, box@largest/both", "ct, mask@largest/both"]
    for ax in figure.axes:
        assert [line.get_xdata().tolist() for line in ax.lines] == [[0, 1, 2], [0, 1, 2, 3]]
        assert ax.lines[1].get_ydata().tolist() == pytest.approx([0.9, 0.8, 0.7, 0.5])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0", "1", "2", "4"]


CLICK = Prompts(torch.tensor([[[3.0, 2.0]]]), torch.tensor([[1]]))


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_planes_are_turned_as_radiologists_see_them(plane: str) -> None:
    dataset = Volumes(1)
    sample = dataset.load(dataset.data[0])
    sample["label"][:] = 0
    sample["label"][0, 18, 13, 7] = 1  # far right, anterior, superior
    cases = CutIntoVolume(MedSAMPreprocessing(min_voxels=0, min_pixels=0), plane=plane)
    volume = cases(sample)
    mask = volume.targets[0].mask(volume.size)
    (index,) = volume.targets[0].areas(volume.axis)
    example = volume_example(volume, mask, mask, PlannedPrompt(index, CLICK))
    views = {view.image.shape: view for view in (example, *example.others)}
    # right on the left; anterior on top of axial and on the left of sagittal views; superior on top
    places = {(16, 20): [2, 1], (9, 20): [1, 1], (9, 16): [1, 2]}
    assert {shape: np.argwhere(view.target).tolist() for shape, view in views.items()} == {
        shape: [place] for shape, place in places.items()
    }
    assert {shape: view.aspect for shape, view in views.items()} == {(16, 20): 1.0, (9, 20): 2.0, (9, 16): 2.0}
    for shape, place in places.items():
        assert views[shape].image[tuple(place)] == volume.image[0][mask].item()
    assert example.prompts is CLICK
    assert all(view.prompts.is_empty for view in example.others)


def test_of_a_sequence_frames_are_shown() -> None:
    frames = np.random.default_rng(0).random((3, 8, 6, 5), dtype=np.float32)
    target = np.zeros((8, 6, 5), bool)
    target[2:4, 2:5, 1:4] = True
    volume = CaseVolume({}, frames, spacing=(0.5, 1.0), is_sequence=True)
    example = volume_example(volume, target, ~target, PlannedPrompt(2, CLICK))
    for view, index in zip((example, *example.others), (2, 1, 3), strict=True):
        assert np.array_equal(view.image, frames[..., index].T)
        assert np.array_equal(view.target, target[..., index].T)
        assert np.array_equal(view.prediction, ~target[..., index].T)
        assert view.aspect == 2.0


def test_views_of_an_example_stand_below_it() -> None:
    volume = CaseVolume({}, np.zeros((1, 20, 16, 9), np.float32), spacing=(1.0, 1.0, 2.0))
    target = np.zeros((20, 16, 9), bool)
    target[4:9, 4:9, 2:5] = True
    example = volume_example(volume, target, target, PlannedPrompt(3, CLICK))
    figure = draw_examples([("one", example), ("two", example)])
    drawn = [ax.images[0].get_array().shape for ax in figure.axes]
    assert drawn == [(16, 20)] * 2 + [(9, 16)] * 2 + [(9, 20)] * 2
    assert [ax.get_title() for ax in figure.axes] == ["one", "two", "", "", "", ""]

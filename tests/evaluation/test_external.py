# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Models given as functions or commands: what they are handed, and what they may hand back."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from monai_synthfm.evaluation.external import CommandPredictor, FunctionPredictor, PromptRecord, prompt_records
from monai_synthfm.prompts import Prompts
from tests.evaluation.stand_ins import discs

NOT_A_BOX = [torch.nan] * 4
PROMPTS = Prompts(
    points=torch.tensor([[[3.0, 1.0], [9.0, 9.0], [0.0, 4.0]], [[5.0, 5.0]] * 3]),
    point_labels=torch.tensor([[0, -1, 1], [-1, -1, -1]]),
    boxes=torch.tensor([NOT_A_BOX, [1.0, 0.0, 2.5, 4.0]]),
)
RECORDS = [
    {"points": [[3.0, 1.0], [0.0, 4.0]], "point_labels": [0, 1], "box": None},
    {"points": [], "point_labels": [], "box": [1.0, 0.0, 2.5, 4.0]},
]
KEEP = """
import shutil, sys

# keeps its input files and words, and answers with what it was given as answer
target = sys.argv[1]
words = [word.partition("=")[2] for word in sys.argv[2:]]
for word, name in zip(words, ("image.png", "image.npy", "prompts.json")):
    shutil.copy(word, f"{target}/{name}")
shutil.copy(f"{target}/answer.npy", words[3])
open(f"{target}/words.txt", "w").write("\\n".join(sys.argv[2:]))
"""


def keeping(folder: Path, answer: np.ndarray, *more: str) -> CommandPredictor:
    """A command that leaves what it was given in a folder, its files named within longer words."""
    (folder / "keep.py").write_text(KEEP)
    np.save(folder / "answer.npy", answer, allow_pickle=True)
    files = ["--image={image}", "--array={image_npy}", "--prompts={prompts}", "--output={masks}"]
    return CommandPredictor("keeping", [sys.executable, str(folder / "keep.py"), str(folder), *files, *more])


def test_records_are_the_clicks_and_boxes_that_are_there() -> None:
    assert prompt_records(PROMPTS) == RECORDS
    assert prompt_records(Prompts(boxes=PROMPTS.boxes)) == [{**RECORDS[1], "box": None}, RECORDS[1]]
    assert json.loads(json.dumps(prompt_records(PROMPTS))) == RECORDS


@pytest.mark.parametrize("channels", [1, 3])
def test_a_command_finds_the_image_twice_and_the_prompts_in_its_files(tmp_path: Path, channels: int) -> None:
    image = torch.rand(channels, 6, 11, generator=torch.Generator().manual_seed(0))
    answer = np.random.default_rng(0).random((2, 6, 11)) - 0.5
    model = keeping(tmp_path, answer)
    masks = model.segment(model.encode(image), PROMPTS).masks
    np.testing.assert_array_equal(masks, answer > 0)
    expected = image[0].numpy() if channels == 1 else image.permute(1, 2, 0).numpy()
    exact = np.load(tmp_path / "image.npy")
    assert exact.dtype == np.float32
    np.testing.assert_array_equal(exact, expected)
    with Image.open(tmp_path / "image.png") as picture:
        assert picture.mode == ("L" if channels == 1 else "RGB")
        np.testing.assert_allclose(np.asarray(picture) / 255, expected, atol=0.5 / 255 + 1e-6)
    assert json.loads((tmp_path / "prompts.json").read_text()) == {"objects": RECORDS}


def test_words_reach_the_command_without_a_shell_and_files_are_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    words = ["$HOME", "a b; exit 1", "{other} {}", "*"]
    model = keeping(tmp_path, np.zeros((2, 4, 4)), *words)
    model.segment(model.encode(torch.rand(1, 4, 4)), PROMPTS)
    *files, shell, command, braces, star = (tmp_path / "words.txt").read_text().splitlines()
    assert [shell, command, braces, star] == words
    assert [word.partition("=")[0] for word in files] == ["--image", "--array", "--prompts", "--output"]
    assert all(word.partition("=")[2].startswith(str(tmp_path / "temporary")) for word in files)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_masks_that_are_python_objects_are_refused(tmp_path: Path) -> None:
    model = keeping(tmp_path, np.full((2, 4, 4), None))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        model.segment(model.encode(torch.rand(1, 4, 4)), PROMPTS)


def test_a_program_that_is_not_there_is_named() -> None:
    model = CommandPredictor("absent", ["no-such-program", "{masks}"])
    with pytest.raises(RuntimeError, match=r"model absent: no-such-program did not run: .*No such file"):
        model.segment(model.encode(torch.rand(1, 4, 4)), PROMPTS)


def test_scores_of_a_function_are_inside_above_zero_and_of_the_images_size() -> None:
    scores = np.array([[[-2.0, 0.0, 0.5]], [[1e-9, -1e-9, 3.0]]])
    model = FunctionPredictor("scores", lambda image, objects: scores.tolist())
    answer = model.segment(model.encode(torch.rand(3, 1, 3)), PROMPTS)
    assert answer.masks.tolist() == [[[False, False, True]], [[True, False, True]]]
    assert answer.logits is None
    with pytest.raises(ValueError, match=r"scores returned masks of shape \(2, 1, 3\), expected \(2, 5, 4\)"):
        model.segment(model.encode(torch.rand(3, 5, 4)), PROMPTS)


class Threshold:
    """A model that is an object."""

    def __call__(self, image: np.ndarray, objects: list[PromptRecord]) -> np.ndarray:
        return np.stack([image > 0.5 for _ in objects])


def test_the_description_names_function_class_or_command_and_its_version() -> None:
    command = ["run", "{masks}"]
    assert [
        FunctionPredictor("a", discs, "2").describe(),
        FunctionPredictor("b", Threshold()).describe(),
        CommandPredictor("c", tuple(command), version="1").describe(),
    ] == [
        {"function": "discs", "version": "2"},
        {"function": "Threshold", "version": ""},
        {"command": command, "version": "1"},
    ]

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Models whose code is not carried here: any function, or any program that reads and writes files."""

from __future__ import annotations

import json
import subprocess
import tempfile
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from monai_synthfm.evaluation.predictors import Answer, Predictor
from monai_synthfm.prompts import Prompts

__all__ = ["CommandPredictor", "ExternalPredictor", "FunctionPredictor", "prompt_records"]

PromptRecord = dict[str, Any]


class ExternalPredictor(Predictor):
    """
    Base of models that answer with arrays.

    Args:
        name: as it stands in the table.
        version: changes when the model does; rows of another version are not mixed with its own.
    """

    def __init__(self, name: str, version: str = "") -> None:
        super().__init__(name)
        self.version = version

    @abstractmethod
    def predict(self, image: np.ndarray, objects: list[PromptRecord]) -> Any:
        """
        Return masks ``[N, H, W]``, above 0 inside.

        Args:
            image: float32 ``[H, W]`` or ``[H, W, 3]`` in [0, 1].
            objects: see :func:`prompt_records`.
        """

    def encode(self, image: torch.Tensor) -> np.ndarray:
        """Return the image as the model gets it."""
        values = image.cpu().numpy().astype(np.float32)
        return np.ascontiguousarray(values[0] if len(values) == 1 else np.moveaxis(values, 0, -1))

    def segment(self, encoded: np.ndarray, prompts: Prompts) -> Answer:
        """
        Ask the model.

        Raises:
            ValueError: when its masks are of another size than the image or of another number than the prompts.
            RuntimeError: when a command fails.
        """
        objects = prompt_records(prompts)
        masks = np.asarray(self.predict(encoded, objects))
        expected = (len(objects), *encoded.shape[:2])
        if masks.shape != expected:
            raise ValueError(f"model {self.name} returned masks of shape {masks.shape}, expected {expected}.")
        return Answer(masks > 0)


class FunctionPredictor(ExternalPredictor):
    """
    A model given as a function.

    Args:
        name: as it stands in the table.
        function: called and answering as :meth:`ExternalPredictor.predict`.
        version: see :class:`ExternalPredictor`.

    Example:
        >>> def bright(image, objects):
        ...     return np.stack([image > 0.5 for _ in objects])
        >>> predictor = FunctionPredictor("threshold", bright)
        >>> click = Prompts(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[1]]))
        >>> predictor.segment(predictor.encode(torch.tensor([[[0.1, 0.9]]])), click).masks.tolist()
        [[[False, True]]]
    """

    def __init__(self, name: str, function: Callable[[np.ndarray, list[PromptRecord]], Any], version: str = "") -> None:
        super().__init__(name, version)
        self.function = function

    def predict(self, image: np.ndarray, objects: list[PromptRecord]) -> Any:
        """Call the function."""
        return self.function(image, objects)

    def describe(self) -> dict[str, Any]:
        """Return the name of the function, and the version."""
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        return {"function": name, "version": self.version}


class CommandPredictor(ExternalPredictor):
    """
    A model given as a command.

    It is run once for each call, with the words ``{image}``, ``{image_npy}``, ``{prompts}`` and ``{masks}`` replaced by
    files in a temporary folder: the image as 8-bit PNG and as float32 ``.npy``, the prompts as JSON
    ``{"objects": [...]}``, and the ``.npy`` that it has to write with the masks [N, H, W]. No shell is involved::

        models:
        - _target_: monai_synthfm.evaluation.external.CommandPredictor
          name: UnSAM
          command: [python, run_unsam.py, --image, "{image}", --prompts, "{prompts}", --output, "{masks}"]
          version: "2024-06"

    All objects of a slice come in one call, so that the program may encode the image once; interactive clicks come one
    by one.

    Args:
        name: as it stands in the table.
        command: its words.
        version: see :class:`ExternalPredictor`.
        timeout: of one run, seconds.

    Raises:
        ValueError: when the command does not say where its masks go.
    """

    def __init__(self, name: str, command: Sequence[str], version: str = "", timeout: float = 600.0) -> None:
        super().__init__(name, version)
        if isinstance(command, str) or not any("{masks}" in word for word in command):
            raise ValueError(f"command must be a list of words with '{{masks}}' in one, got {command!r}.")
        self.command = list(command)
        self.timeout = timeout

    def describe(self) -> dict[str, Any]:
        """Return the command, and the version."""
        return {"command": self.command, "version": self.version}

    def predict(self, image: np.ndarray, objects: list[PromptRecord]) -> np.ndarray:
        """Run the command."""
        with tempfile.TemporaryDirectory(prefix="monai_synthfm_") as home:
            files = {"image": "image.png", "image_npy": "image.npy", "prompts": "prompts.json", "masks": "masks.npy"}
            paths = {word: Path(home) / file for word, file in files.items()}
            Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(paths["image"])
            np.save(paths["image_npy"], image)
            paths["prompts"].write_text(json.dumps({"objects": objects}))
            words = [_filled(word, paths) for word in self.command]
            try:
                done = subprocess.run(words, capture_output=True, text=True, timeout=self.timeout, check=False)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise RuntimeError(f"model {self.name}: {words[0]} did not run: {error}") from error
            if done.returncode:
                end = done.stderr.strip()[-500:]
                raise RuntimeError(f"model {self.name}: {words[0]} ended with code {done.returncode}: {end}")
            if not paths["masks"].is_file():
                raise RuntimeError(f"model {self.name}: {words[0]} wrote no masks to {{masks}}.")
            return np.load(paths["masks"], allow_pickle=False)


def prompt_records(prompts: Prompts) -> list[PromptRecord]:
    """
    Write prompts of N objects as plain data.

    Returns:
        For each object ``points`` (list of [x, y] in pixels), ``point_labels`` (1 positive, 0 negative) and ``box``
        ([x0, y0, x1, y1] with the corner pixels inside, or None).

    Example:
        >>> prompt_records(Prompts(torch.tensor([[[3.0, 4.0], [0.0, 0.0]]]), torch.tensor([[1, -1]])))
        [{'points': [[3.0, 4.0]], 'point_labels': [1], 'box': None}]
    """
    records = []
    for index in range(prompts.num_objects):
        record: PromptRecord = {"points": [], "point_labels": [], "box": None}
        if prompts.points is not None and prompts.point_labels is not None:
            used = prompts.point_labels[index] >= 0
            record["points"] = prompts.points[index][used].tolist()
            record["point_labels"] = prompts.point_labels[index][used].tolist()
        if prompts.boxes is not None and prompts.has_box[index]:
            record["box"] = prompts.boxes[index].tolist()
        records.append(record)
    return records


def _filled(word: str, paths: dict[str, Path]) -> str:
    for name, path in paths.items():
        word = word.replace(f"{{{name}}}", str(path))
    return word

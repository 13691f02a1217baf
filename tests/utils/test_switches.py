# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Arguments that are True or False and are given as words."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import monai_synthfm
from monai_synthfm.inferers import VolumeInferer
from monai_synthfm.utils.switches import as_switch, reads_switches

# rows of tables and parameters of samples, which programs make of values that they have
RECORDS = {
    "CaseVolume",
    "Fault",
    "Frame",
    "ObjectChange",
    "ObjectInfo",
    "Stack",
    "MaskScores",
    "SliceFrame",
    "VolumeScores",
    "VolumePreset",
}


def classes_with_switches() -> Iterator[tuple[type, str]]:
    for module in pkgutil.walk_packages(monai_synthfm.__path__, "monai_synthfm."):
        if module.name.startswith("monai_synthfm.synthesis"):
            continue
        found = importlib.import_module(module.name)
        for name in getattr(found, "__all__", []):
            target = getattr(found, name)
            known = inspect.isclass(target) and target.__module__ == module.name and name not in RECORDS
            if known and not issubclass(target, Exception) and not inspect.isabstract(target):
                for parameter in inspect.signature(target).parameters.values():
                    if "bool" in str(parameter.annotation).split(" | "):
                        yield target, parameter.name


FOUND = list(classes_with_switches())


def test_there_are_classes_to_look_at() -> None:
    assert {"VolumeInferer", "EmbeddingDecoder", "TrainingCheckpoint", "RandPromptsd"} <= {
        kind.__name__ for kind, _ in FOUND
    }
    assert len(FOUND) > 25


@pytest.mark.parametrize(("target", "name"), FOUND, ids=lambda value: getattr(value, "__name__", value))
def test_every_public_class_refuses_other_words_for_its_switches(target: type, name: str) -> None:
    keys = (
        {"keys": "image"} if "keys" in inspect.signature(target).parameters else {}
    )  # the options of a twin come later
    with pytest.raises(ValueError, match=f"^{name} must be True or False, got 'perhaps'\\.$"):
        target(**keys, **{name: "perhaps"})


@pytest.mark.parametrize("word", ["false", "False", "NO", "off", "0"])
def test_words_for_false_are_false(word: str) -> None:
    assert VolumeInferer(keep_largest=word).keep_largest is False  # type: ignore[arg-type]
    assert VolumeInferer(None, "both", None, word).keep_largest is False  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [True, False, None, 0, 1, np.bool_(True)])
def test_what_is_no_word_stays(value: Any) -> None:
    assert as_switch("zoom", value) is value


def test_decorated_functions_look_as_before() -> None:
    def answer(question: str, loud: bool = False) -> str:
        """Say it."""
        return question.upper() if loud else question

    decorated = reads_switches(answer)
    assert inspect.signature(decorated) == inspect.signature(answer)
    assert (decorated.__name__, decorated.__doc__) == ("answer", "Say it.")
    assert [decorated("yes", word) for word in ("yes", "no")] == ["YES", "yes"]  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"answer\(\) missing 1 required positional argument: 'question'"):
        decorated()

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from monai.bundle import ConfigParser, ReferenceResolver

from monai_synthfm.commands.references import item_at, reached, references
from tests.bundles.test_options import COMBINATIONS


@pytest.mark.parametrize("files", COMBINATIONS, ids=lambda files: "+".join(path.stem for path in files))
def test_references_and_items_are_those_that_monai_finds(files: list[Path]) -> None:
    parser = ConfigParser(ConfigParser.load_config_files([str(path) for path in files]))
    config = parser.get()
    for name in config:
        found = set(ReferenceResolver.find_refs_in_config(parser.get(name), name))
        own = {ref for ref in found if not ref.startswith(f"{name}::")}  # MONAI lists parts of the item as well
        assert references(config[name]) >= own
        assert all(ref.startswith(f"{name}::") or ref in own for ref in references(config[name]))
        for ref in own:
            assert item_at(config, ref) == parser.get(ref)


def test_what_is_run_reaches_what_it_refers_to_and_no_more() -> None:
    config = {
        "run": ["$@train#trainer.run()"],
        "train": {"trainer": {"net": "@net", "steps": "@steps"}, "other": "@unused"},
        "net": "$build(@size + @net)",  # refers to itself
        "size": 3,
        "steps": None,
        "unused": 1,
    }
    assert reached(config, ["initialize", "run"]) == {"run", "train::trainer", "net", "size", "steps"}

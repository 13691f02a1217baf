# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The commands."""

from __future__ import annotations

import re

import pytest

from monai_synthfm.commands.catalogue import COMMANDS, OTHERS, configs_folder, overview
from monai_synthfm.commands.program import main


def test_commands_run_configs_that_are_there_and_their_places_are_options() -> None:
    for command in COMMANDS.values():
        text = "".join((configs_folder() / name).read_text(encoding="utf-8") for name in command.configs)
        assert all(re.search(rf"^{place}:", text, re.M) for place in command.places)
        assert command.folder is None or any((configs_folder() / command.folder).glob("*.yaml"))


def test_the_program_shows_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert capsys.readouterr().out.strip() == overview().strip()
    for name, summary in {**{name: one.summary for name, one in COMMANDS.items()}, **OTHERS}.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", overview(), re.M)

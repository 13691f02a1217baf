# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The commands and their help."""

from __future__ import annotations

import re

import pytest

from monai_synthfm.commands.catalogue import COMMANDS, OTHERS, configs_folder, help_of, overview
from monai_synthfm.commands.program import main


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_the_options_of_the_configs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([name, "--help"])
    shown = capsys.readouterr().out
    assert COMMANDS[name].summary in shown
    for place in COMMANDS[name].places:
        assert f"--{place} " in shown


def test_help_has_the_whole_of_a_comment_of_several_lines(capsys: pytest.CaptureFixture[str]) -> None:
    main(["segment", "--help"])
    (line,) = re.findall(r"^  --boxes .*$", capsys.readouterr().out, re.M)
    assert line.endswith("used on all slices between them; [] for none")


def test_help_leaves_out_what_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    main(["batch", "-h"])
    named = set(re.findall(r"^  --(\w+) ", capsys.readouterr().out, re.M))
    assert {"prompts", "on_fault", "modality"} <= named
    assert not {"image", "points", "mask", "cache_dir"} & named


def test_commands_run_configs_that_are_there_and_their_places_are_options() -> None:
    for command in COMMANDS.values():
        text = "".join((configs_folder() / name).read_text(encoding="utf-8") for name in command.configs)
        assert all(re.search(rf"^{place}:", text, re.M) for place in command.places)
        assert command.folder is None or any((configs_folder() / command.folder).glob("*.yaml"))


def test_the_program_shows_the_help_and_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    main(["segment", "--help"])
    assert capsys.readouterr().out.strip() == help_of("segment", COMMANDS["segment"]).strip()
    main([])
    assert capsys.readouterr().out.strip() == overview().strip()
    for name, summary in {**{name: one.summary for name, one in COMMANDS.items()}, **OTHERS}.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", overview(), re.M)

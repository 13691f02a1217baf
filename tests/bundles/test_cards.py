# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The cards of the bundles hold good wherever a bundle is: in a clone, a wheel, or on a hub."""

from __future__ import annotations

import hashlib
import re
import shlex
from pathlib import Path

import pytest

from monai_synthfm import bundle_path
from monai_synthfm.bundles import BUNDLES


@pytest.fixture(params=BUNDLES)
def card(request: pytest.FixtureRequest) -> Path:
    return bundle_path(request.param) / "docs" / "README.md"


def test_links_lead_somewhere_within_the_bundle(card: Path) -> None:
    bundle = card.parents[1]
    for link in re.findall(r"\]\(([^)\s]+)\)|<(?:img|a)[^>]*?(?:src|href)=\"([^\"]+)\"", card.read_text()):
        target = "".join(link)
        if re.match(r"https?://|#", target):
            continue
        # MONAI copies the card to the top of the bundle when it pushes it to a hub
        for home in (card.parent, bundle):
            assert (home / target).resolve().is_relative_to(bundle), target
            assert (home / target).exists(), target


def test_commands_find_their_configs_in_any_folder(card: Path) -> None:
    bundle = card.parents[1]
    text = re.sub(r"\\\n *", "", card.read_text())
    commands = [line.strip() for line in text.splitlines() if re.match(r" {4}(python|torchrun|synthfm) ", line)]
    assert any("$B/configs/inference.yaml" in command for command in commands)
    for command in commands:
        assert shlex.split(command)
        for config in re.findall(r"[^\s'\"\[,]*\.yaml", command):
            assert config.startswith("$B/configs/"), command
            assert Path(config.replace("$B", str(bundle))).is_file(), command
        assert "bundles/" not in command
    (place,) = re.findall(r"^    B=\$\(python -c \"(.*)\"\)$", text, re.M)
    assert place == f"import monai_synthfm; print(monai_synthfm.bundle_path('{bundle.name}'))"


def test_files_of_the_repository_are_not_taken_for_those_of_the_bundle(card: Path) -> None:
    text = card.read_text()
    for name in set(re.findall(r"`((?:configs|docs|scripts)/[\w./]+)`", text)):
        assert (card.parents[1] / name).exists() or f"`{name}` of the repository" in text, name


def test_the_hash_of_the_decoder_is_told() -> None:
    bundle = bundle_path("synthfm_sam")
    digest = hashlib.sha256((bundle / "models" / "model.pt").read_bytes()).hexdigest()
    assert re.findall(r"sha256 `([0-9a-f]{64})`", (bundle / "docs" / "README.md").read_text()) == [digest]

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a release states of itself is the same everywhere."""

from __future__ import annotations

import json
import re

import yaml

from monai_synthfm import __version__
from monai_synthfm.bundles import BUNDLES
from tests.conftest import ROOT


def test_one_version_everywhere() -> None:
    changes = re.findall(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    stated = {
        "changelog": changes[0],
        "citation": yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"],
        **{name: card(name)["version"] for name in BUNDLES},
    }
    assert stated == dict.fromkeys(stated, __version__)
    assert sorted(changes, reverse=True) == changes


def card(name: str) -> dict[str, str]:
    return json.loads((ROOT / "bundles" / name / "configs" / "metadata.json").read_text())


def test_the_changelog_of_a_bundle_has_its_version() -> None:
    for name in BUNDLES:
        assert card(name)["version"] in card(name)["changelog"]


def test_the_citation_has_what_the_format_wants() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert all("authors" in reference and "title" in reference for reference in citation["references"])


def test_issue_forms_have_what_the_format_wants() -> None:
    for form in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        content = yaml.safe_load(form.read_text())
        if form.stem != "config":
            assert {"name", "description", "body"} <= set(content)
            identities = [part["id"] for part in content["body"] if part["type"] != "markdown"]
            assert len(identities) == len(set(identities)) > 0


def test_docker_copies_what_the_package_is_built_from() -> None:
    lines = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text()).splitlines()
    copied = {word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]}
    assert {"pyproject.toml", "setup.py", "README.md", "LICENSE", "monai_synthfm", "bundles"} <= copied
    assert all((ROOT / word).exists() for word in copied)

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Every relative link and picture of a page leads somewhere, and so does the heading that it names."""

from __future__ import annotations

import re
from pathlib import Path
from pydoc import locate

import pytest

from tests.conftest import ROOT

PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("bundles/*/docs/README.md"), *(ROOT / "docs").rglob("*.md")],
    key=lambda path: path.as_posix(),
)
_FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def shown(page: Path) -> str:
    """The text of a page without its blocks of code, and with what it includes."""
    text = page.read_text(encoding="utf-8")
    if included := re.search(r"^```\{include\} (\S+)", text, re.M):
        return shown((page.parent / included[1]).resolve())
    return _FENCED.sub("", text)


def anchors(page: Path) -> set[str]:
    """The names of the headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", shown(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    dead = []
    for link in _LINK.findall(shown(page)):
        name, _, anchor = link.partition("#")
        if name.startswith(("https://", "mailto:")):
            continue
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    if "{include}" not in page.read_text(encoding="utf-8"):  # whose links start where the included page lies
        assert dead_links(page) == []


def missing_names(text: str) -> list[str]:
    """Files and Python names in code spans that are not there."""
    files = re.findall(r"`((?:monai_synthfm|docs|scripts|tests|bundles|configs|benchmarks)/[\w/.]*\w)`", text)
    names = re.findall(r"`(monai_synthfm(?:\.\w+)+)`", text)
    return [file for file in files if not (ROOT / file).exists()] + [name for name in names if locate(name) is None]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_and_names_in_code_exist(page: Path) -> None:
    assert missing_names(shown(page)) == []


def test_missing_names_are_found() -> None:
    text = "`docs/conf.py` `docs/none.py` `monai_synthfm.networks.Sam` `monai_synthfm.networks.Samm`"
    assert missing_names(text) == ["docs/none.py", "monai_synthfm.networks.Samm"]


def test_dead_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One head, two\n")
    page = tmp_path / "page.md"
    page.write_text("[a](other.md#one-head-two) [b](other.md#three) ![c](no.png) [d](#here)\n# Here\n`[e](f)`\n")
    assert dead_links(page) == ["other.md#three", "no.png", "f"]


def test_every_page_of_the_site_is_reached() -> None:
    docs = ROOT / "docs"
    index = (docs / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^[\w/*]+$", "\n".join(re.findall(r"```\{toctree\}(.*?)```", index, re.S)), re.M)
    reached = {path for entry in listed for path in docs.glob(f"{entry}.md")}
    generated = docs / "reference"
    pages = {path for path in docs.rglob("*.md") if generated not in path.parents}
    assert pages - reached == {docs / "index.md"}


def test_cards_name_no_file_outside_their_bundle() -> None:
    for card in ROOT.glob("bundles/*/docs/README.md"):
        assert [link for link in _LINK.findall(shown(card)) if link.startswith("..")] == []

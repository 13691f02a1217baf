# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The page of the interface: every call with its fields, and nothing that a browser would run."""

from __future__ import annotations

import html
import re

from monai_synthfm.viewer.api_page import api_page

from .served import Served


def test_every_call_of_the_server_stands_on_the_page_with_its_fields(served: Served) -> None:
    status, content, _ = served.request("GET", "/api")
    page = content.decode()
    assert status == 200
    described = served.request("GET", "/openapi.json")[1]
    calls = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
    assert set(re.findall("<h2><code>(.*?)</code></h2>", page)) == calls
    assert {"POST /api/points", "GET /api/save/segmentation.nii.gz"} <= calls
    section = page[page.index("POST /api/points") :].partition("<h2>")[0]
    fields = re.findall("<tr><td><code>(.*?)</code></td><td>(.*?)</td>", section)
    assert dict(fields)["labels"] == "1 positive, 0 negative"
    assert {name for name, _ in fields} == {"since", "object", "points", "labels"}


def test_words_of_a_description_are_no_html() -> None:
    bad = "<script>alert(1)</script>"
    field = {"name": bad, "schema": {"type": bad, "title": "left out"}, "description": bad}
    openapi = {
        "info": {"title": bad, "version": bad},
        "paths": {f"/{bad}": {"get": {"description": bad, "parameters": [field]}}},
    }
    page = api_page(openapi, "t")
    assert "<script" not in page
    assert page.count(html.escape(bad)) == 8  # title twice, version, path, and four of the call
    assert "left out" not in page

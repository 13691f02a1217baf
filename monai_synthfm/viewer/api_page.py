# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI description as a page: plain HTML, since pages that fetch scripts from elsewhere do not work offline."""

from __future__ import annotations

import html
import json
from typing import Any

__all__ = ["api_page"]


def api_page(openapi: dict[str, Any], token: str) -> str:
    """
    Describe an interface in HTML.

    Args:
        openapi: its OpenAPI description.
        token: for the link to it.

    Example:
        >>> info = {"title": "t", "version": "1"}
        >>> page = api_page({"info": info, "paths": {"/a": {"get": {"description": "Do."}}}}, "x")
        >>> "<h2><code>GET /a</code></h2>" in page and "Do." in page
        True
    """
    schemas = openapi.get("components", {}).get("schemas", {})
    parts = []
    for path, methods in openapi["paths"].items():
        for method, found in methods.items():
            parts.append(f"<h2><code>{method.upper()} {html.escape(path)}</code></h2>")
            parts.append(f"<p>{html.escape(found.get('description', ''))}</p>")
            rows = [(p["name"], p["schema"], p.get("description", "")) for p in found.get("parameters", [])]
            for body in found.get("requestBody", {}).get("content", {}).values():
                name = body["schema"].get("$ref", "").rpartition("/")[2]
                properties = schemas.get(name, {}).get("properties", {})
                rows += [(field, schema, schema.get("description", "")) for field, schema in properties.items()]
            parts += _table(rows)
    info = openapi["info"]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(info["title"])}</title>'
        f'<link rel="stylesheet" href="/page/style.css?token={token}"></head><body class="text">'
        f"<h1>{html.escape(info['title'])} {html.escape(info['version'])}</h1>"
        "<p>Send the token of the address as header <code>x-synthfm-token</code> or query <code>token</code>. Bodies "
        "are JSON. Answers of <code>POST</code> and <code>/api/update</code> are the length of a JSON text as four "
        "bytes, little endian, this text, and zlib's bytes of the labels in its <code>box</code>, one a voxel, first "
        "axis fastest. As "
        f'<a href="/openapi.json?token={token}">OpenAPI</a>.</p>{"".join(parts)}</body></html>'
    )


def _table(rows: list[tuple[str, dict[str, Any], str]]) -> list[str]:
    if not rows:
        return []
    cells = []
    for name, schema, said in rows:
        plain = {key: value for key, value in schema.items() if key not in ("title", "description")}
        shown = html.escape(json.dumps(plain))
        cells.append(f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(said)}</td><td>{shown}</td></tr>")
    return ["<table>", *cells, "</table>"]

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The documentation site: ``sphinx-build -W docs build/site``."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.ext import apidoc

from monai_synthfm import __version__

project = "SynthFM for MONAI"
copyright = "monai_synthfm contributors"  # noqa: A001 (Sphinx calls it so)
release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx-mathjax-offline",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_templates"]
templates_path = ["_templates"]

html_theme = "furo"
html_title = f"SynthFM for MONAI {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False


def write_reference(app: Sphinx) -> None:
    """Write a page for each room of the package as it stands."""
    here = Path(app.confdir)
    options = ["--force", "--remove-old", "--no-toc", "--templatedir", str(here / "_templates" / "apidoc")]
    package = here.parent / "monai_synthfm"
    apidoc.main([*options, "--output-dir", str(here / "reference"), str(package), str(package / "**" / "__main__.py")])


def setup(app: Sphinx) -> None:
    """Have Sphinx write the reference before it reads the pages."""
    app.connect("builder-inited", write_reference)

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
Write train.json and inference.json of each bundle from its YAML, where ``monai.bundle.load`` looks for them.

    python scripts/write_json_configs.py

YAML is what people read and edit; a test fails when the two differ.
"""

from __future__ import annotations

import json
from pathlib import Path

from monai.bundle import ConfigParser

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"


def as_json(config: Path) -> str:
    """Return the content of a YAML config as JSON."""
    return json.dumps(ConfigParser.load_config_file(config), indent=4, ensure_ascii=False) + "\n"


def main() -> None:
    """Write them all."""
    for name in ("train", "inference"):
        for config in sorted(BUNDLES.glob(f"*/configs/{name}.yaml")):
            config.with_suffix(".json").write_text(as_json(config), encoding="utf-8")


if __name__ == "__main__":
    main()

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Run every benchmark, one after the other, and put its table into docs/performance.md.

    python benchmarks/run_all.py
    python benchmarks/run_all.py --only generation feeding
    python benchmarks/run_all.py --only              # only write the tables again

Results are in benchmarks/results/<name>.json. The machine should do nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "performance.md"
COMMANDS = {
    "generation": "generation.py --sizes 256 512 1024 --repeats 12",
    "volume_generation": "volume_generation.py --sizes 128,128,8 128,128,128 --repeats 5",
    "feeding": "feeding.py",
    "inference": "inference.py --image_sizes 512 1024",
    "propagation": "propagation.py --ways masks windows --image_size 512 --size 512 --slices 30 300",
    "batch": "batch.py --files 8",
    "training": "training.py --cpu-minutes 3.5 --image_size 512 --batch_size 8 --num_objects 2 --validation_samples 8",
    "growth": "growth.py --plots docs",
    "viewer": "viewer.py --clicks 12 --sizes 256 512",
    "estimate": "estimate.py --results benchmarks/results --gpu-step 0.25 --gpu-volume 30",
}


def fill(page: str, name: str, markdown: str) -> str:
    """Put a table with its command between the two comments that name it.

    Raises:
        ValueError: when the page has no such place.
    """
    text = f"<!-- {name} -->\n\n    python benchmarks/{COMMANDS[name]}\n\n{markdown}\n\n<!-- /{name} -->"
    filled, count = re.subn(f"<!-- {name} -->.*?<!-- /{name} -->", lambda _: text, page, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{PAGE} must hold <!-- {name} --> and <!-- /{name} --> once, found {count} times.")
    return filled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(COMMANDS), default=list(COMMANDS), metavar="NAME")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    for name in arguments.only:
        output = arguments.results / f"{name}.json"
        script, *options = COMMANDS[name].split()
        print(f"== python benchmarks/{COMMANDS[name]}", flush=True)
        subprocess.run([sys.executable, str(HERE / script), *options, "--output", str(output)], cwd=ROOT, check=True)
    page = PAGE.read_text(encoding="utf-8")
    for name in COMMANDS:
        output = arguments.results / f"{name}.json"
        if output.exists():
            page = fill(page, name, json.loads(output.read_text(encoding="utf-8"))["markdown"])
    part = PAGE.with_name(PAGE.name + ".part")
    part.write_text(page, encoding="utf-8")
    os.replace(part, PAGE)


if __name__ == "__main__":
    main()

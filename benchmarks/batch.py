# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Files an hour of `synthfm batch`: one process with all of them, and two at once with half each, one thread each.

python benchmarks/batch.py --files 8 --output batch.json
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from measuring import table, write

COMMAND = "from monai_synthfm.commands.program import main; main()"


def save_volumes(folder: Path, files: int, size: int, slices: int) -> Path:
    """Write volumes with a bright ellipsoid each, and return a table with a click in every one."""
    x, y, z = np.ogrid[:size, :size, :slices]
    rows = ["image,clicks"]
    for k in range(files):
        rng = np.random.default_rng(k)
        centre = rng.uniform(0.4, 0.6, 3) * (size, size, slices)
        radii = rng.uniform(0.15, 0.25, 3) * (size, size, 2 * slices)
        away = sum(((axis - c) / r) ** 2 for axis, c, r in zip((x, y, z), centre, radii, strict=True))
        voxels = 100 + 90 * (away < 1) + rng.normal(0, 12, (size, size, slices))
        nib.save(
            nib.Nifti1Image(voxels.round().astype(np.int16), np.diag([0.8, 0.8, 3.0, 1.0])), folder / f"{k}.nii.gz"
        )
        rows.append(f"{k}.nii.gz,{' '.join(str(round(c)) for c in centre)}")
    prompts = folder / "prompts.csv"
    prompts.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return prompts


def run(prompts: Path, output: Path, processes: int) -> dict[str, Any]:
    """Segment all files in so many processes, and return when each file was finished, in seconds from the start.

    Raises:
        RuntimeError: when a process fails or a file is not segmented.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    begin, wall = time.time(), time.perf_counter()
    running = []
    for k in range(1, processes + 1):
        options = [
            "--dataset_dir",
            prompts.parent,
            "--output",
            output,
            "--shard",
            f"{k}/{processes}",
            "--modality",
            "mr",
        ]
        command = [sys.executable, "-c", COMMAND, "batch", prompts, *options]
        running.append(subprocess.Popen([*map(str, command)], env=environment, stdout=subprocess.DEVNULL))
    codes = [process.wait() for process in running]
    seconds = time.perf_counter() - wall
    finished: list[list[float]] = [[] for _ in range(processes)]
    for path in output.rglob("*_segmentation.nii.gz"):
        finished[int(path.name.partition("_")[0]) % processes].append(path.stat().st_mtime - begin)
    expected = len(prompts.read_text(encoding="utf-8").splitlines()) - 1
    if any(codes) or sum(map(len, finished)) != expected:
        raise RuntimeError(
            f"exit codes {codes}, {sum(map(len, finished))} of {expected} files segmented: expected all."
        )
    return {"processes": processes, "seconds": seconds, "finished": [sorted(times) for times in finished]}


def once_running(result: dict[str, Any]) -> float:
    """Files an hour after the first one of each process: without imports and loading of the network."""
    return sum(3600 * (len(times) - 1) / (times[-1] - times[0]) for times in result["finished"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--size", type=int, default=256, help="pixels of a slice's side")
    parser.add_argument("--slices", type=int, default=24)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--output", type=Path, help="JSON file for every measured number")
    arguments = parser.parse_args()
    if arguments.files < 2 * max(arguments.processes):
        parser.error("--files must be at least two for each process, to leave out the first.")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        prompts = save_volumes(Path(folder), arguments.files, arguments.size, arguments.slices)
        for processes in arguments.processes:
            results.append(run(prompts, Path(folder) / f"segmented_{processes}", processes))
    rows = [
        [
            f"{result['processes']} process{'es' if result['processes'] > 1 else ''}",
            f"{once_running(result):.0f}",
            f"{3600 * arguments.files / result['seconds']:.0f}",
            f"{result['seconds']:.0f}",
        ]
        for result in results
    ]
    markdown = (
        f"{arguments.files} volumes of {arguments.size} x {arguments.size} x {arguments.slices}, one click in each, "
        "carried through all of it; one thread a process\n\n"
    )
    markdown += table(["files an hour", "the same with the start of the program", "seconds in all"], rows)
    settings = {name: value for name, value in vars(arguments).items() if name != "output"}
    write(arguments.output, {"settings": settings, "runs": results}, markdown)


if __name__ == "__main__":
    main()

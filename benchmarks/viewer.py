# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Seconds from a click in the viewer's page to the changed canvas: first click on a slice, next ones on it.

python benchmarks/viewer.py --clicks 12 --output viewer.json

The page runs in chromium without a graphics card, on the same cores as the network; both take from each other.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from measuring import cell, table, write
from playwright.sync_api import sync_playwright

from monai_synthfm.networks import open_network
from monai_synthfm.viewer.launch import open_session
from monai_synthfm.viewer.listening import in_background, listen
from monai_synthfm.viewer.niivue import find_niivue
from monai_synthfm.viewer.state import ViewerState

ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
TIMED = """([x, y]) => new Promise((done) => {
  const { nv, state } = synthfm;
  const canvas = document.getElementById("gl");
  const say = (type) => canvas.dispatchEvent(
    new MouseEvent(type, { clientX: x, clientY: y, button: 0, bubbles: true, cancelable: true }));
  const before = state().prompts.length, version = state().version;
  const draw = nv.drawScene;
  const start = performance.now();
  nv.drawScene = (...given) => {
    const result = draw(...given);
    if (state().version !== version && state().prompts.length > before) {
      nv.drawScene = draw;
      requestAnimationFrame(() => done((performance.now() - start) / 1000));
    }
    return result;
  };
  say("mousedown");
  say("mouseup");
})"""


def save_cylinder(path: Path, size: int, slices: int) -> list[int]:
    """Write a volume with a bright cylinder, and return the slices to click on."""
    x, y = np.mgrid[:size, :size]
    inside = (x - size * 0.45) ** 2 + (y - size * 0.55) ** 2 < (size * 0.17) ** 2
    noise = np.random.default_rng(0).normal(0, 12, (size, size, slices))
    voxels = (100 + 90 * inside[..., None] + noise).round().astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, np.diag([0.8, 0.8, 2.0, 1.0])), path)
    return list(range(2, slices - 2))


def measure(page: Any, slices: list[int], size: int, clicks: int) -> dict[str, list[float]]:
    """Click twice and more on each of some slices."""
    found: dict[str, list[float]] = {"first": [], "next": []}
    for index in range(clicks):
        place = page.evaluate(
            """([x, y, z]) => {
              const { nv, info } = synthfm;
              const mm = info().affine.slice(0, 3).map((r) => r[0] * x + r[1] * y + r[2] * z + r[3]);
              nv.scene.crosshairPos = nv.mm2frac(mm, 0, true);
              nv.createOnLocationChange();
              nv.drawScene();
              const at = nv.frac2canvasPosWithTile(nv.scene.crosshairPos, 0).pos;
              const box = document.getElementById("gl").getBoundingClientRect();
              return [box.left + at[0] / nv.uiData.dpr, box.top + at[1] / nv.uiData.dpr];
            }""",
            [size * 0.45, size * 0.55, slices[index]],
        )
        for number in range(3):
            seconds = page.evaluate(TIMED, [place[0] + 25 * number, place[1]])
            found["next" if number else "first"].append(seconds)
            page.wait_for_timeout(150)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clicks", type=int, default=12, help="slices that are clicked on, three times each")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--slices", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--output", type=Path, default=Path("viewer.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network = open_network("synthfm")
    seconds: dict[str, dict[str, list[float]]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=ARGUMENTS)
        for size in arguments.sizes:
            with tempfile.TemporaryDirectory() as folder:
                image = Path(folder) / "volume.nii.gz"
                slices = save_cylinder(image, size, arguments.slices)
                state = ViewerState(open_session(image, network, Path(folder), modality="mr"), image, folder)
                with in_background(listen(state, find_niivue())) as address:
                    page = browser.new_page(viewport={"width": 1400, "height": 860})
                    page.goto(address)
                    page.wait_for_selector("body[data-ready=yes]")
                    measure(page, slices[-1:], size, 1)  # which nobody counts
                    seconds[f"{size} x {size} x {arguments.slices}"] = measure(page, slices, size, arguments.clicks)
                    page.close()
        browser.close()
    rows = [[name, cell(found["first"]), cell(found["next"])] for name, found in seconds.items()]
    columns = ["first click on a slice", "next clicks on it"]
    title = "Seconds from the click to the changed canvas: median (10th to 90th percentile)\n\n"
    write(arguments.output, {"seconds": seconds}, title + table(columns, rows))


if __name__ == "__main__":
    main()

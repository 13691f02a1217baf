# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Make docs/viewer.png: the viewer's page with structures of the MNI152 T1 template, which nilearn ships.

    python scripts/make_viewer_picture.py --output docs/viewer.png

Needs the extras view and demo, playwright and chromium.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path
from typing import Any

from nilearn.datasets import load_mni152_template
from PIL import Image
from playwright.sync_api import sync_playwright

from monai_synthfm.networks import open_network
from monai_synthfm.viewer.launch import open_session
from monai_synthfm.viewer.listening import in_background, listen
from monai_synthfm.viewer.niivue import find_niivue
from monai_synthfm.viewer.state import ViewerState

ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
OBJECTS = {
    "right basal ganglia": [[27, 2, 2]],
    "left basal ganglia": [[-26, 2, 2]],
    "left lateral ventricle": [[[-2, 26, 12], [-24, -2, 12]]],
}
"""Clicks, and boxes by two corners, in MNI space, RAS+ mm."""


def place(page: Any, mm: list[int]) -> tuple[float, float]:
    """Show the slice of a place, and return where it is in the axial plane."""
    x, y = page.evaluate(
        """(mm) => {
          const { nv } = synthfm;
          nv.scene.crosshairPos = nv.mm2frac(mm, 0, true);
          nv.createOnLocationChange();
          nv.drawScene();
          const at = nv.frac2canvasPosWithTile(nv.scene.crosshairPos, 0).pos;
          const box = document.getElementById("gl").getBoundingClientRect();
          return [box.left + at[0] / nv.uiData.dpr, box.top + at[1] / nv.uiData.dpr];
        }""",
        mm,
    )
    return x, y


def prompt(page: Any, given: Any) -> None:
    """Click, or drag from corner to corner."""
    first, last = given if isinstance(given[0], list) else (given, given)
    page.mouse.move(*place(page, first))
    page.mouse.down()
    page.mouse.move(*place(page, last), steps=4)
    page.mouse.up()
    wait(page)


def wait(page: Any) -> None:
    page.wait_for_timeout(200)
    page.wait_for_selector("body[data-waiting='0'][data-job='']", timeout=600_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--output", type=Path, default=Path("docs/viewer.png"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        image = Path(folder) / "mni152_t1.nii.gz"
        load_mni152_template(resolution=1).to_filename(image)
        state = ViewerState(
            open_session(image, open_network("synthfm"), Path(folder) / "cache"), image, Path(folder) / "cache"
        )
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=ARGUMENTS)
        with in_background(listen(state, find_niivue())) as address:
            page = browser.new_page(viewport={"width": 1400, "height": 800})
            page.goto(address)
            page.wait_for_selector("body[data-ready=yes]", timeout=120_000)
            for number, (name, prompts) in enumerate(OBJECTS.items(), 1):
                if number > 1:
                    page.click("#add-object")
                    wait(page)
                field = page.locator(f"#objects li:nth-child({number}) input.label")
                field.fill(name)
                field.press("Enter")
                wait(page)
                for given in prompts:
                    prompt(page, given)
            page.click("#propagate")
            wait(page)
            place(page, [27, 2, 2])
            page.wait_for_timeout(1500)
            shown = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            page.close()
        browser.close()
    shown.quantize(192, dither=Image.Dither.NONE).save(arguments.output, optimize=True)


if __name__ == "__main__":
    main()

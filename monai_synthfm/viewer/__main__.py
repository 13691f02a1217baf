# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""``python -m monai_synthfm.viewer ct.nii.gz``: see :func:`monai_synthfm.viewer.view`."""

from __future__ import annotations

import argparse
import sys

from monai_synthfm.commands.inputs import check_inputs

_AXES = ("auto", "axial", "coronal", "sagittal", "0", "1", "2")


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and show the volume until the program is ended."""
    parser = argparse.ArgumentParser(prog="synthfm view", description="Segment a volume by clicks.", allow_abbrev=False)
    parser.add_argument("image", help="a file, or the folder of a DICOM series")
    parser.add_argument("--port", type=int, default=0, help="to listen on; 0 (default) takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; others than loopback are a risk")
    parser.add_argument("--no-browser", action="store_true", help="print the address without opening it")
    parser.add_argument("--cache-dir", help="folder that keeps prompts and embeddings of this image")
    parser.add_argument("--model", help="name or file of a network; default: synthfm, the shipped one")
    parser.add_argument(
        "--axis", default="auto", choices=_AXES, help="plane of the network, or axis of the stored array"
    )
    parser.add_argument("--series", help="number or UID of the DICOM series, in a folder with several")
    parser.add_argument("--modality", default="auto", help="auto, ct, mr, us, ...: how intensities are scaled")
    given = parser.parse_args(arguments)
    paths = {"image": given.image, "model": given.model}
    try:
        check_inputs({name: path for name, path in paths.items() if path is not None})
        from monai_synthfm.viewer.launch import view  # networks, whose import takes seconds

        view(
            given.image,
            port=given.port,
            host=given.host,
            browser=not given.no_browser,
            cache_dir=given.cache_dir,
            model=given.model,
            axis=given.axis,
            modality=given.modality,
            series=given.series,
        )
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Files that appear all together or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["staged_files"]


@contextmanager
def staged_files(folder: str | Path) -> Iterator[Path]:
    """
    Give a temporary folder whose files move into ``folder`` when the block ends without an error.

    Args:
        folder: where the files are to appear; created when missing. Existing files of the same names are replaced.

    Example:
        >>> with tempfile.TemporaryDirectory() as home:
        ...     with staged_files(f"{home}/out") as stage:
        ...         _ = (stage / "report.json").write_text("{}")
        ...     print(os.listdir(f"{home}/out"))
        ['report.json']
    """
    folder = Path(folder)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    # Beside their final places, since a rename is atomic only within one file system.
    stage = Path(tempfile.mkdtemp(prefix=".staged-", dir=folder))
    try:
        yield stage
        for path in sorted(stage.iterdir()):
            os.replace(path, folder / path.name)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        with suppress(OSError):
            for path in missing:
                path.rmdir()
        raise
    stage.rmdir()

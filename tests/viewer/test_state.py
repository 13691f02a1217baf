# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What a server keeps of a session, and finds again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from tests.inferers.level_segmenter import LevelSegmenter

from .served import Served, click


def test_a_volume_that_changed_does_not_get_the_prompts_of_another(
    serve: Callable[..., Served], image: Path, tmp_path: Path
) -> None:
    first = serve()
    assert first.request("POST", "/api/points", click())[0] == 200
    first.close()
    other = nib.load(image)
    nib.save(nib.Nifti1Image(np.asarray(other.dataobj) + 1, other.affine), image)
    second = serve(LevelSegmenter())
    assert second.request("GET", "/api/state")[1]["prompts"] == []
    assert first.state.file.is_file()


def test_a_record_that_cannot_be_read_is_kept_aside(serve: Callable[..., Served]) -> None:
    first = serve()
    first.request("POST", "/api/points", click())
    first.close()
    first.state.file.write_text('{"session": 3}')
    second = serve()
    said = second.request("POST", "/api/points", click())
    assert said[0] == 200
    assert "cannot be read" in second.state.message["text"]
    kept = list(first.state.file.parent.glob("prompts-*.json"))
    assert len(kept) == 2

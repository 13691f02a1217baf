# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
The example for MONAI Label, called as its server calls it.

MONAI Label needs packages that do not install beside those of this one. Where it is not installed, its class InferTask
is stood in for by one with the same constructor and methods (monailabel/interfaces/tasks/infer_v2.py of 0.8.5).
"""

from __future__ import annotations

import copy
import json
import os
import runpy
import sys
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_synthfm.inferers import InteractiveSession
from tests.bundles.stored_volumes import OBLIQUE, ORIENTATIONS, store
from tests.conftest import ROOT
from tests.inferers.blob_segmenter import BlobSegmenter
from tests.inferers.session.test_interactive_session import A, B, bright, only


def interface() -> ModuleType:
    """What the example takes from MONAI Label."""

    class InferType(str, Enum):
        DEEPGROW = "deepgrow"

    class InferTask(ABC):
        def __init__(  # its first argument is named as there
            self,
            type: Any,  # noqa: A002
            labels: Any,
            dimension: int,
            description: str,
            config: Any = None,
        ) -> None:
            self.type, self.labels, self.dimension, self.description = type, labels or [], dimension, description
            self._config = dict(config or {})

        def info(self) -> dict[str, Any]:
            names = ("type", "labels", "dimension", "description")
            return {**{name: getattr(self, name) for name in names}, "config": self._config}

        @abstractmethod
        def is_valid(self) -> bool: ...

        @abstractmethod
        def __call__(self, request: dict[str, Any]) -> Any: ...

    module = ModuleType("monailabel.interfaces.tasks.infer_v2")
    module.InferType, module.InferTask = InferType, InferTask
    return module


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Any:
    try:
        import monailabel.interfaces.tasks.infer_v2  # noqa: F401
    except ImportError:
        monkeypatch.setitem(sys.modules, "monailabel", ModuleType("monailabel"))
        for name in ("interfaces", "interfaces.tasks"):
            monkeypatch.setitem(sys.modules, f"monailabel.{name}", ModuleType(name))
        monkeypatch.setitem(sys.modules, "monailabel.interfaces.tasks.infer_v2", interface())
    monkeypatch.setattr("monai_synthfm.networks.open_network", lambda model: BlobSegmenter())
    example = runpy.run_path(str(ROOT / "examples" / "monai_label" / "infer_task.py"))
    task = example["SynthFMInferTask"]()
    task.session = InteractiveSession(task.session.network, axis=2, modality="mr")
    return task


def served(task: Any, image: Path, **params: Any) -> np.ndarray:
    """Ask as the server does: words from JSON, a copy of the request, a thread of its pool, a file as the answer."""
    request = {"model": "synthfm", "image": str(image), **json.loads(json.dumps(params))}
    request = copy.deepcopy(request)
    request["description"] = task.description
    with ThreadPoolExecutor(1) as pool:
        name, params = pool.submit(task, request).result()
    json.dumps(params)
    assert os.path.exists(name)
    label, given = nib.load(name), nib.load(image)
    assert label.shape == given.shape
    np.testing.assert_allclose(label.affine, given.affine)
    voxels = np.asarray(label.dataobj)
    os.unlink(name)
    return voxels


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    nib.save(nib.Nifti1Image(bright(), np.diag([2.0, 2.0, 3.0, 1.0])), tmp_path / "in.nii.gz")
    return tmp_path / "in.nii.gz"


def test_it_says_what_the_clients_ask_for(task: Any) -> None:
    info = json.loads(json.dumps(task.info()))
    # the clients show their tools for clicks, and send those on all slices
    assert (info["type"], info["dimension"], info["labels"]) == ("deepgrow", 3, [])
    assert task.is_valid()


def test_clicks_segment_an_object_through_the_volume(task: Any, volume: Path) -> None:
    found = served(task, volume, label="liver", foreground=[[4, 5, 3]], background=[], slice=None)
    np.testing.assert_array_equal(found, only(A))


def test_each_request_says_all_there_is(task: Any, volume: Path) -> None:
    served(task, volume, foreground=[[4, 5, 3]], background=[])
    found = served(task, volume, foreground=[[4, 5, 3], [10, 5, 3]], background=[])
    np.testing.assert_array_equal(found, only(A) | only(B))
    found = served(task, volume, foreground=[[10, 5, 3]], background=[[4, 5, 3]])
    np.testing.assert_array_equal(found, only(B))
    assert task.session.network.encoded <= bright().shape[2]  # each slice once


@pytest.mark.parametrize(("place", "first"), [([3, 5, 7], 6), ([4, 5, 7], 7)])
def test_clicks_outside_are_about_the_mask_that_the_others_bring(
    task: Any, volume: Path, place: list[int], first: int
) -> None:
    expected = only(A)
    expected[..., first:] = False  # corrected, which half of the slices to the other click follow, or ended there
    np.testing.assert_array_equal(served(task, volume, foreground=[[4, 5, 4]], background=[place]), expected)
    assert not served(task, volume, foreground=[], background=[place]).any()


@pytest.mark.parametrize(
    "roi",
    [
        [9, 13, 4, 10, 2, 9],
        [13, 9, 10, 4, 9, 2],  # the axes of a volume may run against those in which the box was drawn
        [9, 40, 4, 99, 2, 50],  # a box may reach out of the volume
    ],
)
def test_a_box_has_its_axes_one_after_the_other(task: Any, volume: Path, roi: list[int]) -> None:
    found = served(task, volume, foreground=[], background=[], roi=roi)
    np.testing.assert_array_equal(found, only(B))


@pytest.mark.parametrize("k", [0, 13, 29, 46])
def test_voxels_are_those_of_the_stored_array(task: Any, tmp_path: Path, k: int) -> None:
    stored = store(tmp_path / "in.nii.gz", bright(), OBLIQUE, ORIENTATIONS[k])
    where = nib.apply_orientation(np.arange(bright().size).reshape(bright().shape), ORIENTATIONS[k])
    click = np.argwhere(where == np.ravel_multi_index((4, 5, 3), bright().shape))[0]
    task.session.axis = int(ORIENTATIONS[k][2, 0])  # the axis across which the boxes are alike
    found = served(task, tmp_path / "in.nii.gz", foreground=[click.tolist()], background=[])
    assert found.shape == stored.shape
    np.testing.assert_array_equal(found, nib.apply_orientation(only(A), ORIENTATIONS[k]))


def test_a_changed_file_is_read_again(task: Any, volume: Path) -> None:
    served(task, volume, foreground=[[4, 5, 3]], background=[])
    image = nib.load(volume)
    changed = bright()
    changed[A] = 1.0
    changed[B] = 200.0
    nib.save(nib.Nifti1Image(changed, image.affine), volume)
    os.utime(volume, ns=(1, 1))
    assert not served(task, volume, foreground=[[4, 5, 3]], background=[])[A].all()


def test_nothing_said_is_refused_in_one_sentence(task: Any, volume: Path) -> None:
    with pytest.raises(ValueError, match="has neither a click, nor a box, nor a mask"):
        task({"image": str(volume), "foreground": [], "background": []})


def test_the_network_answers_one_request_at_a_time(task: Any, volume: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.nii.gz"
    nib.save(nib.Nifti1Image(bright()[::-1].copy(), np.diag([2.0, 2.0, 3.0, 1.0])), other)
    requests = [{"image": str(volume), "foreground": [[4, 5, 3]]}, {"image": str(other), "foreground": [[11, 5, 3]]}]
    with ThreadPoolExecutor(4) as pool:
        names = [name for name, _ in pool.map(task, requests * 3)]
    for k, name in enumerate(names):
        expected = only(A) if k % 2 == 0 else only(A)[::-1]
        np.testing.assert_array_equal(np.asarray(nib.load(name).dataobj), expected)

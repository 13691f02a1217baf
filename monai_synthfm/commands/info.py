# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What is installed here: for people who wonder, and for their reports of errors."""

from __future__ import annotations

from pathlib import Path

import torch

from monai_synthfm.bundles import BUNDLES, bundle_path
from monai_synthfm.networks.weights.files import cache_folder
from monai_synthfm.utils.hashes import sha256_of
from monai_synthfm.utils.versions import package_versions

__all__ = ["describe_installation"]


def describe_installation() -> str:
    """
    Describe versions, devices, bundles with their weights, and what the cache holds; nothing is fetched.

    Example:
        >>> print(describe_installation())
        monai_synthfm ...
        devices: cpu...
        bundle synthfm_sam: ...
    """
    lines = [f"{name} {version}" for name, version in package_versions().items()]
    gpus = [f"cuda:{k} {torch.cuda.get_device_name(k)}" for k in range(torch.cuda.device_count())]
    lines.append(f"devices: {', '.join([f'cpu with {torch.get_num_threads()} threads', *gpus])}")
    for name in BUNDLES:
        folder = bundle_path(name)
        lines.append(f"bundle {name}: {folder}")
        lines += [f"  {path.relative_to(folder)}: sha256 {sha256_of(path)}" for path in _files(folder / "models")]
    cache = cache_folder()
    lines.append(f"cache {cache}: {_megabytes(*_files(cache))}")
    for path in sorted(cache.iterdir()) if cache.is_dir() else ():
        lines.append(f"  {path.name}: {_megabytes(*_files(path))}")
    return "\n".join(lines)


def _files(folder: Path) -> list[Path]:
    return [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())


def _megabytes(*files: Path) -> str:
    return f"{sum(path.stat().st_size for path in files) / 1e6:.1f} MB"

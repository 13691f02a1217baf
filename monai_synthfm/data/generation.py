# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Generated samples on disk: the same bytes for any number of shards and workers, and after any interruption."""

from __future__ import annotations

import gzip
import hashlib
import inspect
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.transforms import Randomizable
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from monai_synthfm import __version__
from monai_synthfm.data.synthfm_dataset import SynthFMDataset
from monai_synthfm.utils.atomic_files import staged_files
from monai_synthfm.utils.claimed_folders import claim
from monai_synthfm.utils.shards import parse_shard

__all__ = ["FORMATS", "generator_settings", "write_samples"]

MANIFEST = "manifest.json"
MAX_INSTANCES = np.iinfo(np.uint16).max


def write_samples(
    dataset: SynthFMDataset,
    output_dir: str | Path,
    image_format: str = "png",
    shard: str = "1/1",
    num_workers: int = 0,
) -> Path:
    """Write the samples of one epoch of a dataset, or one shard of them, to a folder.

    For every sample three files appear, whole or not at all: ``<index>_image``, ``<index>_label`` and ``<index>.json``
    with its parameters (``RandSynthFM.replay`` makes the same tensors of them) and the hashes of the other two. Samples
    that are there already, with the right hashes, are skipped, so that an interrupted run is continued by repeating it.
    ``manifest.json`` describes the whole set and is the same for all shards.

    Args:
        dataset: what to write; without ``transform``.
        output_dir: folder, created when missing.
        image_format: "png" (image 8 bits, label 16 bits; rows are H, columns W) or "nifti" (image float32, label
            uint16; the first axis is x = W, the second y = H, voxels of 1 mm). MONAI's ``LoadImage`` reads both as
            ``[W, H]``.
        shard: "i/n" writes the samples i - 1, i - 1 + n, ... for 1 <= i <= n.
        num_workers: processes that generate and write; 0 = this one.

    Returns:
        Path of the manifest.

    Raises:
        ValueError: when ``image_format`` or ``shard`` is wrong, the dataset has a transform, or ``output_dir`` holds
            another set.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     manifest = write_samples(SynthFMDataset(1, (32, 32)), folder)
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['000000.json', '000000_image.png', '000000_label.png', 'manifest.json']
    """
    if image_format not in FORMATS:
        raise ValueError(f"image_format must be one of {', '.join(FORMATS)}, got {image_format!r}.")
    if dataset.transform is not None:
        raise ValueError("dataset must have no transform: the samples on disk would not be those of their parameters.")
    number, count = parse_shard(shard)
    folder = Path(output_dir)
    claim(folder, MANIFEST, _manifest(dataset, image_format), "set of samples")
    indices = range(number - 1, len(dataset), count)
    files = _SampleFiles(dataset, folder, image_format)
    loader = DataLoader(files, batch_size=None, sampler=indices, num_workers=num_workers)
    for _ in tqdm(loader, desc=f"samples of shard {number}/{count}", total=len(indices), unit="sample"):
        pass
    return folder / MANIFEST


class _SampleFiles(Dataset):
    """Writes sample ``index`` when it is asked for, so that a data loader's workers write in parallel."""

    def __init__(self, dataset: SynthFMDataset, folder: Path, image_format: str) -> None:
        self.dataset = dataset
        self.folder = folder
        self.suffix, self.encode = FORMATS[image_format]
        self.digits = _digits(dataset)

    def __getitem__(self, index: int) -> int:
        record_path = self.folder / f"{index:0{self.digits}d}.json"
        if not self._is_complete(record_path):
            self._write(index, record_path)
        return index

    def _is_complete(self, record_path: Path) -> bool:
        try:
            hashes = json.loads(record_path.read_text(encoding="utf-8"))["sha256"]
            return all(_sha256((self.folder / name).read_bytes()) == value for name, value in hashes.items())
        except (FileNotFoundError, KeyError, json.JSONDecodeError):
            return False

    def _write(self, index: int, record_path: Path) -> None:
        sample = self.dataset[index]
        image, label = (sample[key][0].cpu().numpy() for key in ("image", "label"))
        if label.max() > MAX_INSTANCES:
            raise ValueError(f"sample {index} has {label.max()} instances, a file holds at most {MAX_INSTANCES}.")
        files = {
            f"{record_path.stem}_image{self.suffix}": self.encode(image),
            f"{record_path.stem}_label{self.suffix}": self.encode(label.astype(np.uint16)),
        }
        record = {
            "index": index,
            "num_instances": int(label.max()),
            "sha256": {name: _sha256(content) for name, content in files.items()},
            "params": json.loads(self.dataset.params.to_json()),
        }
        with staged_files(self.folder) as stage:
            for name, content in files.items():
                (stage / name).write_bytes(content)
            (stage / record_path.name).write_text(json.dumps(record) + "\n", encoding="utf-8")


def _encode_png(array: np.ndarray) -> bytes:
    pixels = array if array.dtype == np.uint16 else np.round(array * 255.0).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _encode_nifti(array: np.ndarray) -> bytes:
    image = nib.Nifti1Image(array.T, np.eye(4))
    image.header.set_xyzt_units("mm")
    # no time of writing in the file, which would make it another file every time
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)


FORMATS: dict[str, tuple[str, Callable[[np.ndarray], bytes]]] = {
    "png": (".png", _encode_png),
    "nifti": (".nii.gz", _encode_nifti),
}


def _digits(dataset: SynthFMDataset) -> int:
    return max(6, len(str(len(dataset) - 1)))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _manifest(dataset: SynthFMDataset, image_format: str) -> dict[str, Any]:
    name, suffix = "#" * _digits(dataset), FORMATS[image_format][0]
    return {
        "package": f"monai-synthfm {__version__}",
        "torch": torch.__version__,
        "number": len(dataset),
        "spatial_size": dataset.generator.spatial_size,
        "seed": dataset.seed,
        "epoch": dataset.epoch,
        "format": image_format,
        "files": {"image": f"{name}_image{suffix}", "label": f"{name}_label{suffix}", "params": f"{name}.json"},
        "generator": generator_settings(dataset.generator),
    }


def generator_settings(generator: Randomizable) -> dict[str, Any]:
    """
    Describe what a generator was made with, by the names of its arguments.

    Args:
        generator: which keeps each argument of its constructor as an attribute of the same name, and hands what it
            takes with ``**`` on to the class above.

    Raises:
        ValueError: when it does not keep one.

    Example:
        >>> from monai_synthfm.transforms import RandSynthFM
        >>> generator_settings(RandSynthFM((64, 64), module="shape"))["module"]
        'shape'
    """
    settings: dict[str, Any] = {"class": type(generator).__name__}
    for name in _arguments(type(generator)):
        if not hasattr(generator, name):
            raise ValueError(
                f"generator {type(generator).__name__} must keep the argument {name!r} of its constructor as an "
                "attribute of this name, to say what images were made with."
            )
        value = getattr(generator, name)
        if isinstance(value, Randomizable):
            settings[name] = generator_settings(value)
        else:
            settings[name] = value.type if isinstance(value, torch.device) else value
    return settings


def _arguments(kind: type) -> list[str]:
    """Names of the arguments of a class, and of those that it hands on to the classes above."""
    names: dict[str, None] = {}
    for each in kind.__mro__:
        if "__init__" not in vars(each):
            continue
        _, *parameters = inspect.signature(vars(each)["__init__"]).parameters.values()
        handed_on = [one for one in parameters if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
        names |= dict.fromkeys(one.name for one in parameters if one not in handed_on)
        if not handed_on:
            break
    return list(names)

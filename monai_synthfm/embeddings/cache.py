# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Embeddings of a volume's slices on disk, signed by everything that decided them."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.utils import convert_to_tensor

from monai_synthfm.networks import ImageEmbedding, Promptable
from monai_synthfm.networks.weights.fingerprint import describe_embeddings, state_sha256
from monai_synthfm.slices.slice_frame import SliceFrame
from monai_synthfm.utils.atomic_files import clear_staged, staged_files

__all__ = ["EmbeddingCache", "EmbeddingCacheOpener", "volume_sha256", "volume_signature"]

FORMAT = 2
_SIGNATURE = "signature.json"
_DTYPES = ("float16", "float32")
_ON_STALE = ("raise", "replace")


class EmbeddingCache(MutableMapping[int, ImageEmbedding]):
    """
    A mapping from slice index to embedding that is kept in a folder.

    Each slice has a file of its own, which appears whole or not at all and carries the hash of the signature in its
    name: several processes may fill one folder, and no process ever reads what belongs to another signature.

    Args:
        folder: of one volume cut across one axis; created when missing.
        signature: everything that decides the embeddings, for JSON; see :func:`volume_signature`.
        dtype: ``float16`` or ``float32`` on disk. What is read is float32 on the CPU, and rounded to ``dtype`` from the
            start, so that masks do not depend on where an embedding came from. The default takes half the space; on
            CT and MR slices with MobileSAM-architecture weights it moved logits by less than 0.01, and 1 of 275,000
            pixels to the other side.
        on_stale: when the folder belongs to another signature, ``raise`` refuses it and ``replace`` clears it.
        in_memory: how many of the slices used last are kept in memory as well.

    Raises:
        ValueError: when an argument is none of these, or the folder is stale.

    Example:
        >>> import tempfile
        >>> embedding = ImageEmbedding(torch.rand(1, 8, 4, 4), original_size=(20, 30), input_size=(43, 64))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     EmbeddingCache(folder, {"image": "a"})[7] = embedding
        ...     again = EmbeddingCache(folder, {"image": "a"})
        ...     list(again), again[7].input_size, again.bytes_on_disk < 2000
        ([7], (43, 64), True)
    """

    def __init__(
        self,
        folder: str | Path,
        signature: Mapping[str, Any],
        dtype: str = "float16",
        on_stale: str = "raise",
        in_memory: int = 8,
    ) -> None:
        for name, value, choices in (("dtype", dtype, _DTYPES), ("on_stale", on_stale, _ON_STALE)):
            if value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")
        self.folder = Path(folder)
        self.dtype = np.dtype(dtype)
        self.in_memory = in_memory
        self.signature = json.loads(json.dumps({**signature, "dtype": dtype, "format": FORMAT}))
        self.written: set[int] = set()
        self.read: set[int] = set()
        self._recent: OrderedDict[int, ImageEmbedding] = OrderedDict()
        text = json.dumps(self.signature, sort_keys=True, indent=2) + "\n"
        self._suffix = f"-{hashlib.sha256(text.encode()).hexdigest()[:12]}.npz"
        self._open(text, on_stale)

    def _open(self, text: str, on_stale: str) -> None:
        path = self.folder / _SIGNATURE
        # looked at before the signature: what another writer puts there comes after its signature
        occupied = any(self.folder.glob("[!.]*"))
        if path.exists():
            found = _read_signature(path)
            if found == self.signature:
                return
            if on_stale == "raise":
                raise ValueError(
                    f"embedding cache {self.folder} is stale: {_differences(found, self.signature)}. "
                    "Choose another folder, delete this one, or let it be replaced."
                )
            _unlink(self.folder.glob("slice-*.npz"))
        elif occupied:
            raise ValueError(f"embedding cache {self.folder}: the folder is not empty and holds no {_SIGNATURE}.")
        with staged_files(self.folder) as stage:
            (stage / _SIGNATURE).write_text(text, encoding="utf-8")

    def __contains__(self, index: object) -> bool:
        return index in self._recent or (isinstance(index, int) and self._path(index).is_file())

    def __getitem__(self, index: int) -> ImageEmbedding:
        if index not in self._recent:
            path = self._path(index)
            if not path.is_file():
                raise KeyError(index)
            self._remember(index, _read_entry(path))
        if index not in self.written:
            self.read.add(index)
        self._recent.move_to_end(index)
        return self._recent[index]

    def __setitem__(self, index: int, embedding: ImageEmbedding) -> None:
        maps = (embedding.features, *embedding.high_resolution)
        with np.errstate(over="ignore"):
            rounded = [value.detach().float().cpu().numpy().astype(self.dtype) for value in maps]
        if not all(np.isfinite(value).all() for value in rounded):
            raise ValueError(f"embedding of slice {index} has values that {self.dtype} cannot hold; use float32.")
        arrays = {f"map{number}": value for number, value in enumerate(rounded)}
        with staged_files(self.folder) as stage:
            np.savez(
                stage / self._path(index).name,
                original_size=embedding.original_size,
                input_size=embedding.input_size,
                **arrays,  # type: ignore[arg-type]
            )
        self.written.add(index)
        self._remember(index, _embedding(rounded, embedding.original_size, embedding.input_size))

    def __delitem__(self, index: int) -> None:
        if index not in self:
            raise KeyError(index)
        self._recent.pop(index, None)
        self._path(index).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[int]:
        names = (path.name for path in self.folder.glob(f"slice-*{self._suffix}"))
        return iter(sorted(int(name.split("-")[1]) for name in names))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def bytes_on_disk(self) -> int:
        """Size of all files in bytes."""
        return sum(self._path(index).stat().st_size for index in self)

    def clear(self) -> None:
        """Remove all entries, and what killed processes left behind."""
        self._recent.clear()
        _unlink(self.folder.glob(f"slice-*{self._suffix}"))
        clear_staged(self.folder)

    def _path(self, index: int) -> Path:
        return self.folder / f"slice-{index:05d}{self._suffix}"

    def _remember(self, index: int, embedding: ImageEmbedding) -> None:
        self._recent[index] = embedding
        self._recent.move_to_end(index)
        while len(self._recent) > max(1, self.in_memory):
            self._recent.popitem(last=False)


class EmbeddingCacheOpener:
    """
    Opens the cache of a volume, as :class:`~monai_synthfm.inferers.VolumeInferer` asks for its store.

    Args:
        folder: see :class:`EmbeddingCache`.
        dtype: see :class:`EmbeddingCache`.
        on_stale: see :class:`EmbeddingCache`.
    """

    def __init__(self, folder: str | Path, dtype: str = "float16", on_stale: str = "raise") -> None:
        self.folder = folder
        self.dtype = dtype
        self.on_stale = on_stale
        self.opened: EmbeddingCache | None = None

    def __call__(self, volume: torch.Tensor, frame: SliceFrame, network: Promptable) -> EmbeddingCache:
        """Open the cache of ``volume`` [C, X, Y, Z], shown in ``frame`` and encoded by ``network``."""
        signature = volume_signature(volume, frame, network)
        self.opened = EmbeddingCache(self.folder, signature, self.dtype, self.on_stale)
        return self.opened


def volume_signature(volume: torch.Tensor, frame: SliceFrame, network: Promptable) -> dict[str, Any]:
    """
    Sign the slices of a volume as a network encodes them: the volume, the network's settings that concern embeddings
    (:meth:`~monai_synthfm.networks.Promptable.describe`), its weights, and the precision of autocast around the call.

    Args:
        volume: [C, X, Y, Z] in [0, 1].
        frame: how its slices are shown to the network.
        network: encodes.
    """
    device = volume.device.type
    return {
        "image_sha256": volume_sha256(volume),
        "shape": list(volume.shape),
        "axis": frame.axis,
        "transposed": frame.transposed,
        "flips": frame.flips,
        **describe_embeddings(network),
        "weights_sha256": state_sha256(network.core),
        "autocast": str(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else None,
    }


def volume_sha256(volume: torch.Tensor) -> str:
    """
    Return the hash of a volume's voxels, whatever the order in which they lie in memory.

    Args:
        volume: [C, X, Y, Z]; quickest when X runs fastest in memory, as in volumes that were read from NIfTI.

    Example:
        >>> volume = torch.arange(24.0).reshape(1, 2, 3, 4)
        >>> volume_sha256(volume) == volume_sha256(volume.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0))
        True
    """
    plain = convert_to_tensor(volume, track_meta=False)
    digest = hashlib.sha256(f"{plain.dtype} {tuple(plain.shape)}".encode())
    for plane in plain.permute(3, 0, 2, 1):
        digest.update(plane.cpu().contiguous().numpy())
    return digest.hexdigest()


def _embedding(maps: list[np.ndarray], original_size: Any, input_size: Any) -> ImageEmbedding:
    features, *finer = (torch.from_numpy(value.astype(np.float32)) for value in maps)
    (height, width), (rows, columns) = ((int(size) for size in pair) for pair in (original_size, input_size))
    return ImageEmbedding(features, (height, width), (rows, columns), tuple(finer))


def _read_entry(path: Path) -> ImageEmbedding:
    try:
        with np.load(path, allow_pickle=False) as entry:
            maps = [entry[f"map{number}"] for number in range(len(entry.files) - 2)]
            return _embedding(maps, entry["original_size"], entry["input_size"])
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError) as error:
        raise ValueError(f"embedding {path} is damaged ({error}); delete it and it will be made again.") from error


def _read_signature(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"embedding cache {path}: not a signature ({error}).") from error
    if not isinstance(found, dict):
        raise ValueError(f"embedding cache {path}: not a signature.")
    return found


def _differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    pairs = {name: (found.get(name), expected.get(name)) for name in {**expected, **found}}
    return "; ".join(f"{name} is {_short(a)} there and {_short(b)} now" for name, (a, b) in pairs.items() if a != b)


def _short(value: Any) -> str:
    return f"{value[:12]}..." if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else repr(value)


def _unlink(paths: Iterable[Path]) -> None:
    for path in list(paths):
        path.unlink(missing_ok=True)

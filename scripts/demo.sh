#!/usr/bin/env bash
# The main job on real input: generate images, train a mask decoder on them, segment a real MR volume from clicks and a box.
# Writes gallery.png, loss.png, segmentation.nii.gz, overlay.png, segmentation_3d.nii.gz and overlay_3d.png to demo_output/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh demo
# small tensors gain nothing from more threads, and spinning ones slow each other down
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec .venv/bin/python scripts/demo.py "$@"

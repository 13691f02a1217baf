#!/usr/bin/env bash
# The main job on real input: generate images, train a mask decoder on them, segment a real MR volume from clicks.
# Writes gallery.png, loss.png, segmentation.nii.gz and overlay.png to demo_output/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh demo
# threads that wait must sleep: two spinning pools on few busy cores slow each other down many times over
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
exec .venv/bin/python scripts/demo.py "$@"

#!/usr/bin/env bash
# Train a network with a memory for volumes, from the 2D bundle's decoder to runs/memory/network.pt: the recipe configs/recipes/memory.yaml, on a GPU where there
# is one. The same command goes on with a training that was killed. Arguments go to monai.bundle.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec "${PYTHON:-python}" -m monai.bundle run \
  --config_file "['bundles/synthfm_sam2_3d/configs/train.yaml','configs/recipes/memory.yaml']" "$@"

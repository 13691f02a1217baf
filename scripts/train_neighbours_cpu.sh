#!/usr/bin/env bash
# Train the decoder that carries objects from slice to slice, from the 2D bundle's decoder to runs/neighbours/decoder.pt
# with both, on two CPU cores: the recipe configs/recipes/neighbours.yaml. The same command goes on with a training that
# was killed. Arguments go to monai.bundle.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
configs=bundles/synthfm_sam/configs
OMP_NUM_THREADS=1 exec "${PYTHON:-python}" -m monai.bundle run \
  --config_file "['$configs/train.yaml','$configs/train_cached.yaml','configs/recipes/neighbours.yaml']" "$@"

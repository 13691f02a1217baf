#!/usr/bin/env bash
# Train the U-Net that carries objects through volumes, from nothing to runs/windows/windows.pt, in about an hour on two cores. The same command goes on with a
# training that was killed. Arguments go to monai.bundle.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CONFIGS=bundles/synthfm_sam2_3d/configs
exec "${PYTHON:-python}" -m monai.bundle run \
  --config_file "['$CONFIGS/train.yaml','$CONFIGS/train_windows.yaml','$CONFIGS/restartable.yaml']" --output_dir runs/windows "$@"

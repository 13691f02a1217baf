#!/usr/bin/env bash
# Train the U-Net that carries objects through volumes to runs/windows/windows.pt, by configs/recipes/windows.yaml, in
# two processes, which use two cores better than two threads do; PROCESSES=1 is for one GPU. The same command goes on
# with a training that was killed. Arguments go to monai.bundle: --pretrained '$None' --max_epochs 12 begins with nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CONFIGS=bundles/synthfm_sam2_3d/configs
PROCESSES="${PROCESSES:-2}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "${PYTHON:-python}" -m torch.distributed.run --standalone --nproc_per_node="$PROCESSES" -m monai.bundle run \
  --config_file "['$CONFIGS/train.yaml','$CONFIGS/multi_gpu_train.yaml','$CONFIGS/train_windows.yaml','$CONFIGS/restartable.yaml','configs/recipes/windows.yaml']" \
  --batch_size "$((PROCESSES > 1 ? 1 : 2))" "$@"

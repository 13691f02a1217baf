#!/usr/bin/env bash
# Make the decoder that ships with the bundle, from nothing to runs/mobilesam_cpu/correct/decoder.pt, on two CPU cores: the five stages of configs/recipes.
# The same command goes on with a training that was killed. It fetches nothing but the encoder's weights.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
configs=bundles/synthfm_sam/configs
files="'$configs/train.yaml','$configs/train_cached.yaml','$configs/multi_gpu_train.yaml'"
# each stage is the one before with changes
for stage in 'configs/recipes/mobilesam_cpu.yaml' 'configs/recipes/mobilesam_cpu_faint.yaml' 'configs/recipes/mobilesam_cpu_multimask.yaml' \
  'configs/recipes/mobilesam_cpu_refine.yaml' 'configs/recipes/mobilesam_cpu_correct.yaml'; do
  files="$files,'$stage'"
  OMP_NUM_THREADS=1 torchrun --standalone --nproc_per_node=2 -m monai.bundle run --config_file "[$files]"
done

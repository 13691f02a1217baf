#!/usr/bin/env bash
# Make the virtual environment .venv and install this package with the extras named: scripts/setup.sh demo
# An environment that is complete is left as it is. PYTHON chooses the interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extras="${1:?name the extras, such as demo, test or view}"
stamp=".venv/.installed-$extras"
if [ ! -f "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
  [ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
  echo "installing monai-synthfm[$extras] into .venv (some minutes the first time)"
  # torch and torchvision first and together: their builds must match
  install=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
  "${install[@]}" torch torchvision "setuptools>=77" wheel
  # sam2 is published as source: built with this torch instead of a second copy of it
  SAM2_BUILD_CUDA=0 "${install[@]}" --no-build-isolation "sam2>=1.1"
  "${install[@]}" --editable ".[$extras]"
  touch "$stamp"
fi
# what is fetched from npm on first use, so that the viewer then works offline
if [ "$extras" = view ]; then
  .venv/bin/python -W ignore::RuntimeWarning -m monai_synthfm.viewer.niivue
fi

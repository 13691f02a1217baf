#!/usr/bin/env bash
# Property tests on examples that no run saw before, as a nightly job; arguments go to pytest. What fails is printed as a line that reproduces it,
# and kept in .hypothesis, from where the next run of this script takes it first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh test
HYPOTHESIS_PROFILE=random exec .venv/bin/python -m pytest -n 2 -m hypothesis "$@"

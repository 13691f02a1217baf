# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""All replicas by the names under which their datasets are opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.replicas.alfi import write_alfi
from tests.replicas.amos import write_amos
from tests.replicas.camus import write_camus_nifti
from tests.replicas.chaos import write_chaos
from tests.replicas.fetal_head import write_fh_ps_aop, write_jnu_ifm, write_psfhs
from tests.replicas.hc18 import write_hc18
from tests.replicas.indexed import write_indexed
from tests.replicas.totalsegmentator import write_ct, write_mr

REPLICAS: dict[str, Callable[[Path], Path]] = {
    "alfi": write_alfi,
    "amos_ct": write_amos,
    "amos_mr": write_amos,
    "camus": write_camus_nifti,
    "camus_half_sequence": write_camus_nifti,
    "chaos_ct": write_chaos,
    "chaos_mr": write_chaos,
    "chaos_mr_t1in": write_chaos,
    "chaos_mr_t1out": write_chaos,
    "chaos_mr_t2": write_chaos,
    "development": write_indexed,
    "fh_ps_aop": write_fh_ps_aop,
    "hc18": write_hc18,
    "jnu_ifm": write_jnu_ifm,
    "psfhs": write_psfhs,
    "totalsegmentator_ct": write_ct,
    "totalsegmentator_mr": write_mr,
}

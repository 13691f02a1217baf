# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Prompts and the rules that simulate them."""

from __future__ import annotations

from monai_synthfm.prompts.boxes import BoxSimulator, tight_box
from monai_synthfm.prompts.clicks import PAPER_CLICK_PAIRS, ClickSimulator, clicks_fit
from monai_synthfm.prompts.corrections import next_click
from monai_synthfm.prompts.prompts import PROMPT_KEYS, Prompts
from monai_synthfm.utils.switches import exports_read_switches

__all__ = [
    "PAPER_CLICK_PAIRS",
    "PROMPT_KEYS",
    "BoxSimulator",
    "ClickSimulator",
    "Prompts",
    "clicks_fit",
    "next_click",
    "tight_box",
]

exports_read_switches(globals())

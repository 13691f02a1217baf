# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What processes know of each other: the first one's bytes, and who sees the same folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from monai_synthfm.handlers.checkpoint import TrainingCheckpoint
from monai_synthfm.utils.processes import from_first_process, ranks_at_folder

COUNT = 3


def in_processes(rank: int, home: Path) -> None:
    """Write what process ``rank`` is told; the last one has a folder of its own."""
    dist.init_process_group("gloo", init_method=f"file://{home}/store", rank=rank, world_size=COUNT)
    own = home / ("shared" if rank < COUNT - 1 else "own")
    answers: dict[str, Any] = {
        "told": [
            None if content is None else content.hex()
            for content in (from_first_process(given) for given in (bytes([rank, 7]), [b"", None, None][rank]))
        ],
        "nothing": from_first_process([None, b"a", b"b"][rank]),
        "ranks": ranks_at_folder(own),
        "left": [path.name for path in own.iterdir()],
    }
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(network.parameters())
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
    (home / "own" / "checkpoint.pt").touch()  # of a process that is not the first
    try:
        TrainingCheckpoint(own, network, optimizer, scheduler, resume=rank == 0)
    except FileNotFoundError as error:
        answers["refused"] = str(error)
    dist.barrier()
    dist.destroy_process_group()
    (home / f"{rank}.json").write_text(json.dumps(answers))


@pytest.mark.slow
def test_processes_agree(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    torch.multiprocessing.spawn(in_processes, (tmp_path,), COUNT)
    answers = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(COUNT)]
    for rank, (answer, folder, ranks) in enumerate(
        zip(answers, ("shared", "shared", "own"), ([0, 1], [0, 1], [2]), strict=True)
    ):
        assert answer["told"] == [bytes([0, 7]).hex(), ""], rank
        assert answer["nothing"] is None
        assert answer["ranks"] == ranks
        assert answer["refused"] == (
            f"resume is set, but there is no {tmp_path / folder / 'checkpoint.pt'}; start without it."
        )

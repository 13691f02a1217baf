# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""
What the processes of one run know of each other, on one machine or on many.

A run of one process needs no process group. In others all processes call these functions, in the same order.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import ignite.distributed as idist
import torch

__all__ = ["from_first_process", "ranks_at_folder"]

_MARK = ".seen-{}-{}"


def from_first_process(content: bytes | None) -> bytes | None:
    """
    Return what the first process has, in all processes.

    Args:
        content: bytes, or None for nothing; of the first process alone.

    Example:
        >>> from_first_process(b"weights"), from_first_process(None)
        (b'weights', None)
    """
    if idist.get_world_size() == 1:
        return content
    own = None if idist.get_rank() else content
    size = int(idist.broadcast(torch.tensor([-1 if own is None else len(own)])))
    if size <= 0:
        return None if size < 0 else b""
    sent = torch.empty(size, dtype=torch.uint8) if own is None else torch.frombuffer(bytearray(own), dtype=torch.uint8)
    received = idist.broadcast(sent)
    return received.numpy().tobytes() if own is None else own


def ranks_at_folder(folder: str | Path) -> tuple[int, ...]:
    """
    Return the ranks of the processes that see the same folder as this one, itself included.

    Processes of one machine do; those of others where the folder is on a shared file system. Nobody returns before all
    have called.

    Args:
        folder: of this process; made when missing.

    Example:
        >>> import tempfile
        >>> ranks_at_folder(tempfile.gettempdir())
        (0,)
    """
    count = idist.get_world_size()
    if count == 1:
        return (0,)
    # a name that no process has looked for: file systems of networks remember what was not there
    token = (from_first_process(secrets.token_hex(8).encode()) or b"").decode()
    mark = Path(folder) / _MARK.format(token, idist.get_rank())
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    idist.barrier()
    ranks = tuple(rank for rank in range(count) if mark.with_name(_MARK.format(token, rank)).exists())
    idist.barrier()
    mark.unlink()
    return ranks

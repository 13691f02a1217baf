# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A bundle run by two CPU processes that talk through gloo, on one machine or as if on two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from ignite.distributed import get_rank
from ignite.engine import Engine, Events
from torch.distributed import TCPStore

from tests.conftest import ROOT

__all__ = ["KilledOnce", "run_in_two_processes", "run_on_two_nodes"]

_SECONDS = 400


class KilledOnce:
    """A handler of a trainer that kills the process of one rank, as a machine that loses power does; once.

    Args:
        rank: of the process.
        step: at whose end it is killed.
        mark: file that says that this has happened.
    """

    def __init__(self, rank: int, step: int, mark: str) -> None:
        self.rank, self.step, self.mark = rank, step, Path(mark)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        if get_rank() == self.rank and engine.state.iteration == self.step and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def run_in_two_processes(configs: Sequence[Path], options: Mapping[str, object], check: bool = True) -> str:
    """Run config files with torchrun and return what they wrote.

    Args:
        configs: files, later ones over earlier ones.
        options: overrides of the command line.
        check: that it ends well.
    """
    (shown,) = _run([["--standalone", "--nproc_per_node=2"]], configs, [options], check)
    return shown


def run_on_two_nodes(
    configs: Sequence[Path],
    options: Mapping[str, object],
    of_nodes: Sequence[Mapping[str, object]],
    check: bool = True,
) -> list[str]:
    """Run config files on two nodes of one process each, which are two torchruns here, and return what each wrote.

    Args:
        configs: files, later ones over earlier ones.
        options: overrides of the command line.
        of_nodes: further overrides of each node.
        check: that both end well.
    """
    # this process holds the store, on a port that the system chose, so that nobody else can take it in between
    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    launcher = [
        *(f"--nnodes={len(of_nodes)}", "--nproc_per_node=1", "--local-addr=localhost"),
        *("--rdzv-backend=c10d", f"--rdzv-endpoint=localhost:{store.port}", "--rdzv-conf=is_host=false"),
    ]
    return _run([launcher] * len(of_nodes), configs, [{**options, **own} for own in of_nodes], check)


def _run(
    launchers: Sequence[Sequence[str]],
    configs: Sequence[Path],
    options: Sequence[Mapping[str, object]],
    check: bool = True,
) -> list[str]:
    """Start torchruns, wait for all of them or, if checked, for the first that fails, and return what each wrote."""
    files = str([str(path) for path in configs])
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH")) if part)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": path}
    environment |= {"SLURM_JOB_ID": "7", "SLURM_LOCALID": "0"}  # what srun leaves to all processes of its one task
    started: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in launchers]
        for launcher, own, log in zip(launchers, options, logs, strict=True):
            words = [sys.executable, "-m", "torch.distributed.run", *launcher, "-m", "monai.bundle", "run"]
            words += [
                "--config_file",
                files,
                *(part for key, value in own.items() for part in (f"--{key}", str(value))),
            ]
            process = subprocess.Popen(words, env=environment, stdout=log, stderr=subprocess.STDOUT)
            started.append(process)
            stack.callback(process.wait)
            stack.callback(process.terminate)  # torchrun ends its processes with it
        end = time.monotonic() + _SECONDS
        statuses = [None]
        while None in statuses and not (check and any(statuses)) and time.monotonic() < end:
            time.sleep(0.2)
            statuses = [process.poll() for process in started]
        shown = []
        for log in logs:
            log.seek(0)
            shown.append(log.read().decode())
    told = "\n".join(_reason(text) for text in shown)
    assert None not in statuses, told
    assert not (check and any(statuses)), told
    return shown


def _reason(text: str, length: int = 5000) -> str:
    """What a torchrun wrote around the first error of one of its processes, which its own report at the end hides."""
    start = max(0, text.find("Traceback (most recent call last)") - length // 2)
    return text[start : start + length] if start else text[-length:]

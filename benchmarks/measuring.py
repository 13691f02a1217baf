# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: CPU-seconds of one thread, wall time on two, peak memory, results as JSON and Markdown."""

from __future__ import annotations

import importlib.metadata
import json
import multiprocessing
import os
import platform
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_synthfm import __version__

__all__ = [
    "Sampler",
    "cell",
    "cpu_seconds",
    "forget_peak",
    "in_new_process",
    "machine",
    "peak_mib",
    "table",
    "wall_seconds",
    "write",
]

Sampler = Callable[[int], object]
"""Does one piece of work for a seed."""

PACKAGES = ("torch", "monai", "neurite", "voxelmorph", "cornucopia", "torchio", "onnxruntime")


def cpu_seconds(sampler: Sampler, repeats: int) -> list[float]:
    """CPU-seconds on one thread of samples with seeds 1 ... repeats, after one that nobody counts."""
    return _seconds(sampler, repeats, threads=1, clock=time.process_time)


def wall_seconds(sampler: Sampler, repeats: int, threads: int = 2) -> list[float]:
    """Seconds that pass on several threads, of samples with seeds 1 ... repeats, after one that nobody counts."""
    return _seconds(sampler, repeats, threads, clock=time.perf_counter)


def _seconds(sampler: Sampler, repeats: int, threads: int, clock: Callable[[], float]) -> list[float]:
    torch.set_num_threads(threads)
    sampler(0)
    seconds = []
    for seed in range(1, repeats + 1):
        start = clock()
        sampler(seed)
        seconds.append(clock() - start)
    torch.set_num_threads(1)
    return seconds


def peak_mib() -> float:
    """Largest memory of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would include the process that started this one
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    scale = 2**20 if platform.system() == "Darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def forget_peak() -> float:
    """Begin the peak anew where the system can (Linux), and return the memory, in MiB, that it begins from.

    Otherwise the peak of importing and of making a network, higher than what they leave, hides what follows.
    """
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5", encoding="ascii")
    return peak_mib()


def in_new_process(work: Callable[..., Any], *arguments: Any, keep_freed_memory: bool = True) -> Any:
    """Return what ``work(*arguments)`` returns in a process of its own, which starts with little memory and one thread.

    Args:
        work: a function of a module.
        arguments: of the function.
        keep_freed_memory: as the C library does by default; False gives freed blocks back at once (glibc only), so that
            the peak is that of living tensors.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    name, before = "MALLOC_MMAP_THRESHOLD_", os.environ.get("MALLOC_MMAP_THRESHOLD_")
    if not keep_freed_memory:
        os.environ[name] = str(2**18)
    process = context.Process(target=_send, args=(sender, work, arguments))
    process.start()
    sender.close()
    if before is None:
        os.environ.pop(name, None)
    result = receiver.recv()
    process.join()
    return result


def _send(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    sender.send(work(*arguments))


def machine() -> dict[str, str]:
    """Name the CPU, its number of cores and the versions of everything that is compared."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
    # of the code that runs here, whatever was installed when
    versions = {"monai-synthfm": __version__}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    cores = str(os.cpu_count())
    return {"cpu": cpu, "cores": cores, "load at the end": load, "python": platform.python_version(), **versions}


def cell(values: Iterable[float]) -> str:
    """Median (10th to 90th percentile)."""
    median, low, high = np.quantile(list(values), [0.5, 0.1, 0.9])
    return f"{median:.3g} ({low:.3g} to {high:.3g})"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; the first column has no title."""
    lines = ["| |" + "".join(f" {column} |" for column in columns), "|---|" + "---|" * len(columns)]
    return "\n".join([*lines, *("|" + "".join(f" {value} |" for value in row) for row in rows)])


def write(output: Path | None, results: dict[str, Any], markdown: str) -> None:
    """Print a table with the machine under it; keep both, and every measured number, in a JSON file if one is named.

    Args:
        output: JSON file, or None.
        results: what was measured.
        markdown: its table.
    """
    environment = machine()
    text = markdown + "\n\n" + ", ".join(f"{key} {value}" for key, value in environment.items())
    print("\n" + text)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        part = output.with_name(output.name + ".part")
        content = {"machine": environment, "results": results, "markdown": text}
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(part, output)

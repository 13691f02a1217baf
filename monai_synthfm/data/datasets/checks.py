# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Whether a download is complete and sane: every file is read, every label checked, every organ in its place."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from monai_synthfm.data.datasets import open_dataset
from monai_synthfm.data.datasets.base import LabelledDataset
from monai_synthfm.data.datasets.case import Case
from monai_synthfm.io.faults import Fault, FaultError, Finding, check_compressed
from monai_synthfm.utils.atomic_files import check_writable, staged_files
from monai_synthfm.utils.switches import reads_switches

__all__ = ["check_data", "describe_report", "examine"]

_SHOWN = 20


def examine(dataset: LabelledDataset, progress: bool = False) -> dict[str, Any]:
    """
    Read and check every case of a dataset.

    Args:
        dataset: opened with ``on_fault="skip"``, so that all faults are found.
        progress: show a progress bar with the time left.

    Returns:
        A report for JSON: ``status`` (``complete``: at least as many cases as the whole archive has; ``partial``;
        ``unknown``: the size of the archive is not known), ``sane`` (no fault found), ``found`` and ``expected``
        numbers of cases by split, ``structures`` (number of cases that have each), ``findings`` (what was measured),
        ``faults`` and ``notices`` (see :class:`Fault`).
    """
    faults = list(dataset.skipped)
    findings: dict[str, list[Finding]] = {}
    present: Counter[str] = Counter({name: 0 for case in dataset.data for name in case.structures})
    usable: Counter[str] = Counter()
    for case in tqdm(dataset.data, desc=f"checking {dataset.name}", unit="case", disable=not progress):
        case_id, split = case.case_id, case.split
        try:
            for file in _files(case):
                if file.lower().endswith(".gz"):
                    check_compressed(file)
            sample = dataset.load(case)
            findings[case_id] = list(dataset.inspect(sample))
        except FaultError as error:
            faults.append(dataset.fault_of(error, case_id, split))
            continue
        usable[split] += 1
        present.update(name for name, found in sample.present.items() if found)
        file = case.label if isinstance(case.label, str) else sample.label.meta["filename_or_obj"]
        if not any(sample.present.values()):
            message = dataset.why_nothing(sample)
            faults.append(dataset.fault("nothing_to_evaluate", file, message, case_id, split, notice=True))
        for finding in findings[case_id]:
            if not finding.plausible:
                faults.append(dataset.fault("implausible", file, str(finding), case_id, split))
    whole = list(dataset.inspect_set(findings)) if findings else []
    faults += [dataset.fault("implausible", dataset.root, str(finding)) for finding in whole if not finding.plausible]
    expected = {k: v for k, v in dataset.expected.items() if dataset.section in (None, k)}
    return _report(
        dataset.name,
        dataset.root,
        _status(usable, expected),
        faults,
        found=dict(usable),
        expected=expected,
        structures=dict(present),
        findings=_summary([finding for items in (*findings.values(), whole) for finding in items]),
    )


@reads_switches
def check_data(
    dataset_name: str,
    dataset_dir: str | Path,
    output_dir: str | Path | None = None,
    require_complete: bool = False,
    exit_on_fault: bool = False,
    progress: bool = True,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """
    Check a download, print what was found, and write it as JSON.

    Args:
        dataset_name: see :data:`monai_synthfm.data.datasets.DATASETS`.
        dataset_dir: folder of the download.
        output_dir: where ``check_<dataset_name>.json`` is written; None writes none.
        require_complete: call a partial download a fault.
        exit_on_fault: leave the program with exit code 1 when a fault was found.
        progress: show a progress bar.
        options: arguments of the dataset's class, such as ``section``; ``folder`` needs ``structures``.

    Returns:
        The report, see :func:`examine`.

    Raises:
        ValueError: when there is no dataset of this name.
        SystemExit: see ``exit_on_fault``.
    """
    if output_dir is not None:
        check_writable(output_dir)
    try:
        dataset = open_dataset(dataset_name, dataset_dir, on_fault="skip", **(options or {}))
    except FaultError as error:
        fault = Fault(dataset_name, None, None, error.code, error.file, error.message)
        report = _report(dataset_name, dataset_dir, "partial", [*error.skipped, fault])
    except FileNotFoundError as error:
        fault = Fault(dataset_name, None, None, "not_found", str(dataset_dir), str(error))
        report = _report(dataset_name, dataset_dir, "partial", [fault])
    else:
        report = examine(dataset, progress)
    if require_complete and report["status"] == "partial":
        message = f"found {report['found']} usable cases, expected {report['expected']}"
        report["faults"].append(Fault(dataset_name, None, None, "partial", report["root"], message).record())
        report["sane"] = False
    print(describe_report(report))
    if output_dir is not None:
        with staged_files(output_dir) as stage:
            (stage / f"check_{dataset_name}.json").write_text(json.dumps(report, indent=2) + "\n")
        print(f"report: {Path(output_dir) / f'check_{dataset_name}.json'}")
    if exit_on_fault and not report["sane"]:
        raise SystemExit(1)
    return report


def describe_report(report: Mapping[str, Any]) -> str:
    """Put a report of :func:`examine` into words."""
    lines = [f"{report['dataset']} in {report['root']}"]
    for split in {**report["expected"], **report["found"]}:
        lines.append(f"  {split}: {report['found'].get(split, 0)} usable of {report['expected'].get(split, 'unknown')}")
    if report["structures"]:
        lines.append("  present in: " + ", ".join(f"{name} {count}" for name, count in report["structures"].items()))
    for quantity, summary in report["findings"].items():
        lines.append(f"  {quantity}: {summary['min']:.4g} .. {summary['median']:.4g} .. {summary['max']:.4g}")
    for kind in ("notices", "faults"):
        lines += [f"  {kind[:-1]}: {Fault(**record)}" for record in report[kind][:_SHOWN]]
        if len(report[kind]) > _SHOWN:
            lines.append(f"  ... and {len(report[kind]) - _SHOWN} more {kind}")
    lines.append(f"{report['status']}, {'sane' if report['sane'] else str(len(report['faults'])) + ' faults'}")
    return "\n".join(lines)


def _files(case: Case) -> list[str]:
    files: list[str] = []
    for value in (case.image, case.label):
        files += [value] if isinstance(value, str) else value.values() if isinstance(value, Mapping) else value
    return files


def _report(
    name: str, root: str | Path, status: str, faults: Sequence[Fault], **measured: dict[str, Any]
) -> dict[str, Any]:
    empty: dict[str, Any] = {"found": {}, "expected": {}, "structures": {}, "findings": {}}
    return {
        "dataset": name,
        "root": str(root),
        "status": status,
        "sane": all(fault.notice for fault in faults),
        **empty,
        **measured,
        "faults": [fault.record() for fault in faults if not fault.notice],
        "notices": [fault.record() for fault in faults if fault.notice],
    }


def _status(found: Mapping[str, int], expected: Mapping[str, int]) -> str:
    if not expected:
        return "unknown"
    return "complete" if all(found.get(split, 0) >= count for split, count in expected.items()) else "partial"


def _summary(findings: Sequence[Finding]) -> dict[str, dict[str, float]]:
    values: dict[str, list[float]] = {}
    for finding in findings:
        values.setdefault(finding.quantity, []).append(finding.value)
    return {
        quantity: {"n": len(items), "min": min(items), "median": float(np.median(items)), "max": max(items)}
        for quantity, items in values.items()
    }

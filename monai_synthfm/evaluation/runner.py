# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Whole evaluations: models times datasets times cases, in pieces that survive being killed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import ignite.distributed as idist
import pandas as pd
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from monai_synthfm.data.datasets import LabelledDataset
from monai_synthfm.evaluation.predictors import Model
from monai_synthfm.evaluation.protocol import EvaluationProtocol
from monai_synthfm.evaluation.results_table import finished_shards, merge_shards, write_shard
from monai_synthfm.evaluation.slice_profiles import merge_slices, write_slices
from monai_synthfm.evaluation.slice_protocol import SliceProtocol
from monai_synthfm.io.faults import Fault, FaultError
from monai_synthfm.utils.atomic_files import check_writable, staged_files
from monai_synthfm.utils.claimed_folders import claim
from monai_synthfm.utils.processes import ranks_at_folder
from monai_synthfm.utils.shards import parse_shard
from monai_synthfm.utils.switches import reads_switches

__all__ = ["EvaluationRunner", "PreparedCases"]

logger = logging.getLogger(__name__)


class PreparedCases(Dataset):
    """
    Cases of a dataset, loaded and made ready when asked for, by worker processes if wanted.

    Args:
        dataset: the dataset.
        indexes: which of its cases.
        protocol: makes them ready.
        on_fault: ``raise`` stops at a broken file; ``skip`` gives None, with the records of what is skipped.
    """

    def __init__(
        self,
        dataset: LabelledDataset,
        indexes: Sequence[int],
        protocol: EvaluationProtocol,
        on_fault: str,
    ) -> None:
        self.dataset, self.indexes, self.protocol, self.on_fault = dataset, indexes, protocol, on_fault

    def __len__(self) -> int:
        return len(self.indexes)

    def __getitem__(self, position: int) -> tuple[Any, list[dict[str, Any]]]:
        """Return a prepared case, or None, and the records of what is skipped."""
        case = self.dataset.data[self.indexes[position]]
        try:
            prepared = self.protocol.prepare(self.dataset.load(case))
        except FaultError as error:
            if self.on_fault == "raise":
                # Not the error itself, which cannot be handed over from a worker process.
                raise ValueError(f"{self.dataset.name} {case.case_id}: {error}") from error
            return None, [self.dataset.fault_of(error, case.case_id, case.split).record()]
        return prepared, prepared.skipped


@reads_switches
class EvaluationRunner:
    """
    Evaluate models on datasets and write the table of rows.

    A piece of work is one case with one model. What is done is done: after being killed at any moment, the same call
    goes on with the pieces that are missing, and the table is the same to the byte. Pieces can be shared out between
    processes or machines that see one ``output_dir``; whichever finishes last merges, and of a process group the first
    once all have finished. Folders of machines that see none in common can be copied into one, where the same call
    merges. Rows of other settings, models or cases are never mixed: ``pinned`` in ``output_dir`` holds what the pieces
    there were made with.

    ``output_dir`` then has ``rows.parquet``, ``rows.csv``, ``timings.parquet`` (see
    :mod:`monai_synthfm.evaluation.results_table`), of whole volumes ``slices.parquet``
    (:mod:`monai_synthfm.evaluation.slice_profiles`), ``skipped.json`` (what was left out and why) and what ``report``
    writes.

    Args:
        datasets: opened datasets of different names.
        models: models of different names, of the kind that the protocol asks for.
        output_dir: folder of the run.
        protocol: what is asked and scored; the paper's evaluation of slices by default.
        shard: ``i/n`` with 1 <= i <= n: take every n-th case beginning with the i-th.
        num_workers: processes that load cases ahead; 0 loads between.
        on_fault: ``raise`` stops at a case that cannot be read; ``skip`` reports it in ``skipped.json``.
        report: called with this runner and the rows after the merge, such as
            :class:`~monai_synthfm.evaluation.report_handler.RunReport`.
        progress: show a bar with the time left.

    Raises:
        ValueError: when names occur twice or an argument is wrong.
        OSError: when ``output_dir`` cannot be written to.
    """

    def __init__(
        self,
        datasets: Sequence[LabelledDataset],
        models: Sequence[Model],
        output_dir: str | Path,
        protocol: EvaluationProtocol | None = None,
        shard: str = "1/1",
        num_workers: int = 0,
        on_fault: str = "raise",
        report: Callable[[EvaluationRunner, pd.DataFrame], Any] | None = None,
        progress: bool = True,
    ) -> None:
        for what, names in (("datasets", [d.name for d in datasets]), ("models", [m.name for m in models])):
            if not names or len(set(names)) < len(names):
                raise ValueError(f"{what} must be at least one, of different names, got {names}.")
        if on_fault not in ("raise", "skip"):
            raise ValueError(f"on_fault must be 'raise' or 'skip', got {on_fault!r}.")
        check_writable(output_dir)
        self.datasets, self.models = list(datasets), list(models)
        self.output_dir = Path(output_dir)
        self.protocol: EvaluationProtocol = protocol or SliceProtocol()
        self.shard = parse_shard(shard)
        self.num_workers = num_workers
        self.on_fault = on_fault
        self.report = report
        self.progress = progress

    def run(self) -> pd.DataFrame | None:
        """
        Do the missing pieces of this shard; merge and report when the whole run is complete.

        Returns:
            The rows; None while pieces of other shards are missing, and where another process merges.

        Raises:
            ValueError: when a case cannot be read, or ``output_dir`` holds pieces of another run.
        """
        self._pin("protocol", self.protocol.describe())
        for dataset in self.datasets:
            cases = {case.case_id: case.structures for case in dataset.data}
            self._pin(f"dataset {dataset.name}", {"cases": cases})
        number, count = self.shard
        units = [(dataset, k) for dataset in self.datasets for k in range(len(dataset.data))]
        own = units[number - 1 :: count]
        done = len({self._piece(m, d, k) for m in self.models for d, k in own} & finished_shards(self.output_dir))
        total = len(own) * len(self.models)
        with tqdm(total=total, initial=done, unit="case", disable=not self.progress) as bar:
            for model in self.models:
                self._pin(f"model {model.name}", model.describe())
                for dataset in self.datasets:
                    bar.set_description(f"{model.name} on {dataset.name}")
                    self._run_cases(model, dataset, [k for owner, k in own if owner is dataset], bar)
                model.release()
        ranks = ranks_at_folder(self.output_dir)
        if idist.get_rank() != ranks[0]:
            return None
        names = [self._piece(model, dataset, k) for model in self.models for dataset, k in units]
        missing = set(names) - finished_shards(self.output_dir)
        if missing and len(ranks) < idist.get_world_size():
            logger.warning(
                "%d of %d pieces are not in %s, since other processes have folders of their own: copy these into one "
                "and run the same there with one process to merge them",
                *(len(missing), len(names), self.output_dir),
            )
            return None
        if missing:
            logger.info("%d of %d pieces are missing: they are of other shards", len(missing), len(names))
            return None
        rows = merge_shards(self.output_dir, names)
        merge_slices(self.output_dir, names, rows)
        skipped = self.skipped()
        self._write("skipped.json", skipped)
        # what the protocol leaves out is no fault and has another form
        broken = [Fault(**record) for record in skipped if not record.get("notice", True)]
        if rows.empty and broken:
            raise ValueError(
                f"nothing was evaluated: {len(broken)} cases were left out, see {self.output_dir}/skipped.json, the "
                f"first for this reason: {broken[0]}"
            )
        if self.report is not None:
            self.report(self, rows)
        return rows

    def skipped(self) -> list[dict[str, Any]]:
        """List what is left out of the finished pieces and why, for JSON."""
        records = [record for dataset in self.datasets for record in dataset.skip_report()]
        model = self.models[0]
        for dataset in self.datasets:
            for k in range(len(dataset.data)):
                path = self._skipped_file(self._piece(model, dataset, k))
                records += json.loads(path.read_text()) if path.is_file() else []
        return records

    def _run_cases(self, model: Model, dataset: LabelledDataset, indexes: list[int], bar: Any) -> None:
        finished = finished_shards(self.output_dir)
        todo = [k for k in indexes if self._piece(model, dataset, k) not in finished]
        cases = PreparedCases(dataset, todo, self.protocol, self.on_fault)
        loader = DataLoader(cases, batch_size=None, num_workers=self.num_workers)
        for k, (prepared, skipped) in zip(todo, loader, strict=True):
            rows, slices = ([], []) if prepared is None else self.protocol.score(model, prepared)
            piece = self._piece(model, dataset, k)
            # Before the rows: a piece counts as done once its rows are there.
            path = self._skipped_file(piece)
            self._write(str(path.relative_to(self.output_dir)), skipped)
            write_slices(self.output_dir, piece, slices)
            write_shard(self.output_dir, piece, rows)
            bar.update()

    @staticmethod
    def _piece(model: Model, dataset: LabelledDataset, index: int) -> str:
        return f"{model.name}/{dataset.name}/{dataset.data[index].case_id}"

    def _skipped_file(self, piece: str) -> Path:
        return self.output_dir / "skipped" / f"{quote(piece, safe='')}.json"

    def pinned(self, name: str) -> dict[str, Any]:
        """Return what the pieces were made with: ``protocol``, ``model <name>`` or ``dataset <name>``."""
        content: dict[str, Any] = json.loads(self._pinned_file(name).read_text())
        return content

    def _pinned_file(self, name: str) -> Path:
        return self.output_dir / "pinned" / f"{quote(name, safe='')}.json"

    def _pin(self, name: str, content: dict[str, Any]) -> None:
        """Write what the pieces are made with, or check that it is what they were made with."""
        claim(self.output_dir, str(self._pinned_file(name).relative_to(self.output_dir)), content, name)

    def _write(self, name: str, content: Any) -> None:
        path = self.output_dir / name
        with staged_files(path.parent) as stage:
            (stage / path.name).write_text(json.dumps(content, indent=1) + "\n")

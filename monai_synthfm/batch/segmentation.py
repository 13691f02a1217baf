# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Segmentation of many images in one run, in pieces that survive being killed."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import pandas as pd
from filelock import FileLock
from monai.data import ThreadBuffer, list_data_collate
from monai.engines import Evaluator
from tqdm import tqdm

from monai_synthfm.batch.jobs import describe_settings, places_of, request_sha256
from monai_synthfm.data.prompted_volumes import PromptedVolumeDataset
from monai_synthfm.io.volume_files import source_name
from monai_synthfm.networks.weights.fingerprint import describe_network
from monai_synthfm.utils.atomic_files import check_writable, staged_files
from monai_synthfm.utils.processes import ranks_at_folder
from monai_synthfm.utils.shards import parse_shard
from monai_synthfm.utils.switches import reads_switches

__all__ = ["BatchSegmentation", "UnfinishedBatchError"]

logger = logging.getLogger(__name__)

_ON_FAULT = ("skip", "raise")
_RECORDS = "records"
_SUMMARY = ("image", "object", "label", "ml", "slices", "seconds", "segmentation", "warning")


class UnfinishedBatchError(ValueError):
    """Some images could not be segmented; a command ends with this exit status."""

    exit_status = 4


@dataclass(frozen=True)
class Job:
    """An image that is to be segmented: its number, its item or the report of an earlier run, or why there is none."""

    index: int
    item: dict[str, Any] | None = None
    report: dict[str, Any] | None = None
    error: Exception | None = None


@reads_switches
class BatchSegmentation:
    """
    Segment the images of a table one after the other; the next is read while one is segmented.

    What is done is done: an image whose report in ``output_dir`` says that the same was asked of the same files, and
    answered by the same weights and settings, is left as it is, so that a killed run goes on with the same call. An
    image that cannot be read or segmented does not stop the others. Images can be shared out between processes or
    machines that see one ``output_dir``; each leaves tables of all that is done by then, the last one whole ones. A
    machine with an ``output_dir`` of its own has tables of its own images there; once such folders are copied into one,
    the same call there completes them.

    ``output_dir`` then has the files of :class:`~monai_synthfm.handlers.segmentation_writer.SegmentationWriter` for
    each image in a folder like the image's own, ``summary.csv`` (for each object its volume in ml, the slices that it
    spans, and the seconds that its image took), ``failed.csv`` (the rows of images that failed and why; no file when
    there are none), and ``records``, of which these are made.

    Args:
        dataset: of the cases of :func:`~monai_synthfm.prompts.prompt_table.read_prompt_table`.
        evaluator: with a ``SegmentationWriter`` into the same ``output_dir``; it is handed one image after the other.
        output_dir: folder of the run.
        shard: ``i/n`` with 1 <= i <= n: take every n-th image beginning with the i-th.
        on_fault: ``skip`` goes on with the next image; ``raise`` stops at one that cannot be segmented.
        on_empty: ``fail`` calls an image in which an object came out empty a failed one, ``warn`` does not.
        progress: show a bar over images with the time left.

    Raises:
        ValueError: when an argument is wrong, or two images would be written to the same files.
        OSError: when ``output_dir`` cannot be written to.
    """

    def __init__(
        self,
        dataset: PromptedVolumeDataset,
        evaluator: Evaluator,
        output_dir: str | Path,
        shard: str = "1/1",
        on_fault: str = "skip",
        on_empty: str = "warn",
        progress: bool = True,
    ) -> None:
        if on_fault not in _ON_FAULT:
            raise ValueError(f"on_fault must be one of {', '.join(_ON_FAULT)}, got {on_fault!r}.")
        check_writable(output_dir)
        self.dataset, self.evaluator = dataset, evaluator
        evaluator.interrupt_resume_enabled = False  # else ignite takes a run after a failed one for its rest
        self.cases = list(dataset.data)
        self.output_dir = Path(output_dir)
        self.shard = parse_shard(shard)
        self.on_fault, self.on_empty, self.progress = on_fault, on_empty, progress
        self.places = places_of(self.cases, dataset.root)

    def run(self) -> None:
        """
        Segment the missing images of this shard, and write the tables.

        Raises:
            UnfinishedBatchError: when images failed, after all others are done; in all processes of a group.
            ValueError: with ``on_fault="raise"``, at the first image that fails.
        """
        number, count = self.shard
        own = range(number - 1, len(self.cases), count)
        settings = {
            "network": describe_network(self.evaluator.network),
            "inferer": describe_settings(self.evaluator.inferer),
            "preprocessing": describe_settings(self.dataset.transform),
        }
        for index in own:  # of an earlier run; what is done will be found by its report
            self._record_file(index).unlink(missing_ok=True)
        failed: list[str] = []
        done = 0
        with tqdm(total=len(own), unit="image", disable=not self.progress) as bar:
            for job in ThreadBuffer(self._jobs(own, settings), buffer_size=1):
                bar.set_description(str(self.cases[job.index]["image"]))
                try:
                    done += job.report is not None
                    self._record(job.index, self._segment(job))
                except Exception as error:
                    reason = _reason(error)
                    self._record(job.index, {"reason": reason})
                    failed.append(f"{self._names(job.index)}: {reason}")
                    logger.warning("Left out %s", failed[-1])
                    if self.on_fault == "raise":
                        self._write_tables()
                        raise ValueError(failed[-1]) from error
                bar.update()
        logger.info("%d images: %d were done before, %d failed", len(own), done, len(failed))
        if idist.get_world_size() > 1:
            self._end_together()
            return
        self._write_tables()
        if failed:
            raise UnfinishedBatchError(
                f"{len(failed)} of {len(own)} images failed, see {self.output_dir / 'failed.csv'}, the first for this "
                f"reason: {failed[0]}"
            )

    def _end_together(self) -> None:
        """Write the tables when no process is at work any more, and fail in all processes or in none: torchrun ends
        those beside one that fails, and waits minutes for machines that do not fail with the others."""
        ranks = ranks_at_folder(self.output_dir)
        missing, faults = self._write_tables() if idist.get_rank() == ranks[0] else (0, [])
        if missing:
            logger.warning(
                "%d of %d images are not in %s, since other processes have folders of their own: copy these into one "
                "and run the same there with one process for tables of all",
                *(missing, len(self.cases), self.output_dir),
            )
        failed = int(idist.all_reduce(len(faults)))
        if failed:
            where = "" if len(ranks) == idist.get_world_size() else ", on each machine"
            raise UnfinishedBatchError(
                f"{failed} of {len(self.cases)} images failed, see {self.output_dir / 'failed.csv'}{where}."
            )

    def _jobs(self, indexes: range, settings: dict[str, Any]) -> Iterator[Job]:
        """Look what is done and read what is not, in a thread of its own."""
        for index in indexes:
            case = self.cases[index]
            try:
                if "fault" in case:
                    raise ValueError(case["fault"])
                sha256 = request_sha256(case, self.dataset.root, settings)
                report = self._report(index)
                if report is not None and report.get("request_sha256") == sha256:
                    yield Job(index, report=report)
                    continue
                item = self.dataset[index]
                item["image"].meta["place"] = str(self.places[index])
                item["image"].meta["request_sha256"] = sha256
                item["image"].meta["objects"] = json.dumps([str(name) for name in case["objects"]])
                yield Job(index, item)
            except Exception as error:  # told where the results are taken, not in this thread
                yield Job(index, error=error)

    def _segment(self, job: Job) -> dict[str, Any]:
        """Segment an image unless that is done, and return what the tables need of its report."""
        if job.error is not None:
            raise job.error
        report = job.report
        if job.item is not None:
            self.evaluator.data_loader = [list_data_collate([job.item])]
            self.evaluator.run()
            report = self._report(job.index)
        if report is None:
            raise ValueError("no report was written: the evaluator has no SegmentationWriter of this output_dir.")
        if report["empty"] and self.on_empty == "fail":
            raise ValueError(f"nothing was found for object {', '.join(map(str, report['empty']))}.")
        found = report["objects"]
        return {
            "seconds": report["seconds"],
            "segmentation": str(self.places[job.index] / report["segmentation"]),
            "ml": [None if one["mm3"] is None else one["mm3"] / 1000 for one in found],
            "warning": [one.get("warning", "") for one in found],
            "slices": [one["slices"][1] - one["slices"][0] + 1 if "slices" in one else 0 for one in found],
        }

    def _report(self, index: int) -> dict[str, Any] | None:
        """The report of an image whose segmentation is there, too."""
        folder = self.output_dir / self.places[index]
        path = folder / f"{source_name(self.dataset.root / self.cases[index]['image'])}_report.json"
        if not path.is_file():
            return None
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        names = [report[kind] for kind in ("segmentation", "probabilities") if kind in report]
        return report if all((folder / name).is_file() for name in names) else None

    def _names(self, index: int) -> str:
        case = self.cases[index]
        rows = case["rows"]
        return f"row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows))}, image {case['image']}"

    def _record_file(self, index: int) -> Path:
        """Where what came of a case is kept, under a name that tells it from others."""
        text = json.dumps(self.cases[index], sort_keys=True, default=str)
        return self.output_dir / _RECORDS / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def _record(self, index: int, content: dict[str, Any]) -> None:
        path = self._record_file(index)
        with staged_files(path.parent) as stage:
            (stage / path.name).write_text(json.dumps(content) + "\n", encoding="utf-8")

    def _write_tables(self) -> tuple[int, list[str]]:
        """Write the tables of all that is done, by whichever shard; return how many are missing, and what failed."""
        missing = 0
        faults: list[str] = []
        (self.output_dir / _RECORDS).mkdir(parents=True, exist_ok=True)
        with FileLock(self.output_dir / _RECORDS / ".lock"):
            rows: list[dict[str, Any]] = []
            failed: list[dict[str, Any]] = []
            for index, case in enumerate(self.cases):
                path = self._record_file(index)
                if not path.is_file():
                    missing += 1
                    continue
                record = json.loads(path.read_text(encoding="utf-8"))
                if "reason" in record:
                    faults.append(f"{self._names(index)}: {record['reason']}")
                for label, (row, name) in enumerate(zip(case["rows"], case["objects"], strict=True), start=1):
                    here = {"image": case["image"], "object": name}
                    if "reason" in record:
                        failed.append({"row": row, **here, "reason": record["reason"]})
                    else:
                        found = {key: record[key][label - 1] for key in ("ml", "slices")}
                        if "warning" in record:  # of no record that an earlier version wrote
                            found["warning"] = record["warning"][label - 1]
                        rows.append({**record, **here, **found, "label": label})
            with staged_files(self.output_dir) as stage:
                pd.DataFrame(rows, columns=_SUMMARY).to_csv(stage / "summary.csv", index=False)
                if failed:
                    pd.DataFrame(failed).to_csv(stage / "failed.csv", index=False)
            if not failed:
                (self.output_dir / "failed.csv").unlink(missing_ok=True)
        return missing, faults


def _reason(error: Exception) -> str:
    """The message of what went wrong first, in one line; MONAI wraps what transforms raise."""
    root: BaseException = error
    while isinstance(root, RuntimeError) and root.__cause__ is not None:
        root = root.__cause__
    text = " ".join(str(root).split())
    return text if isinstance(root, (ValueError, OSError)) and text else f"{type(root).__name__}: {text}"

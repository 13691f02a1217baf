# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What was said in a session, as files have it: to go on later, and to do the same again without a session."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from monai_synthfm.inferers.session.history import Reach, Said
from monai_synthfm.inferers.session.interactions import Choice, Interaction
from monai_synthfm.inferers.session.object_finder import FoundObject
from monai_synthfm.inferers.session.volume import SessionVolume
from monai_synthfm.prompts.coordinates import DECIMALS
from monai_synthfm.slices.sliced_volume import SlicedVolume

__all__ = ["inference_arguments", "read_record", "record_of"]

_FORMAT = 2
_OF_PICTURES = 1  # the format of earlier records, whose masks are those of pictures, counted as these


def record_of(said: Said) -> dict[str, Any]:
    """
    Return all that was said in terms of JSON, see :func:`read_record`.

    Args:
        said: so far, which is recorded in voxels of the stored array.
    """
    order = {item.serial: number for number, item in enumerate(said.interactions)}
    steps: dict[int, int] = {}
    interactions = []
    for item in said.interactions:
        entry: dict[str, Any] = {"object_id": item.object_id}
        points, labels, boxes = item.prompts.points, item.prompts.point_labels, item.prompts.boxes
        assert points is not None
        assert labels is not None
        assert boxes is not None
        entry["points"] = points[0][labels[0] >= 0].tolist()
        entry["point_labels"] = labels[0][labels[0] >= 0].tolist()
        entry["box"] = boxes[0].tolist() if item.prompts.has_box.all() else []
        entry["masks"] = {str(index): _packed(mask) for index, mask in item.masks.items()}
        if item.choice is not None:
            # what was removed since is among them no longer
            among = sorted(order[serial] for serial in item.choice.among if serial in order)
            entry["choice"] = {"rank": item.choice.rank, "among": among}
        entry["step"] = steps.setdefault(item.step, len(steps))
        interactions.append(entry)
    reach = {"direction": said.reach.direction, "slice_range": said.reach.slice_range}
    return {"format": _FORMAT, **reach, "interactions": interactions}


def read_record(
    record: Mapping[str, Any], slices: SlicedVolume, build: Callable[..., Interaction]
) -> tuple[list[Interaction], Reach]:
    """
    Read what :func:`record_of` gave.

    Args:
        record: as JSON has it.
        slices: of the volume.
        build: makes an interaction with a new serial from ``object_id``, ``points``, ``point_labels``, ``box``,
            ``masks``, ``choice`` and ``step``, and checks them.

    Raises:
        ValueError: when it is no such record.
    """
    try:
        if record["format"] not in (_FORMAT, _OF_PICTURES):
            raise ValueError(f"not a record of a session: format {record['format']!r}, expected {_FORMAT}.")
        made: list[Interaction] = []
        for entry in record["interactions"]:
            masks = dict(_masks_of(entry["masks"], slices, record["format"] == _OF_PICTURES))
            choice = entry.get("choice")
            if choice is not None:
                among = frozenset(made[number].serial for number in choice["among"])
                choice = Choice(int(choice["rank"]), among)
            # where nothing is said of steps, every prompt was one
            step = int(entry.get("step", made[-1].step + 1 if made else 0))
            prompts = [entry.get(name, []) for name in ("points", "point_labels", "box")]
            made.append(build(int(entry["object_id"]), *prompts, masks, choice=choice, step=step))
        span = record["slice_range"]
        return made, Reach(str(record["direction"]), None if span is None else (int(span[0]), int(span[1])))
    except (KeyError, TypeError, IndexError, AttributeError, zlib.error) as error:
        raise ValueError(f"not a record of a session ({type(error).__name__}: {error}).") from error


def inference_arguments(
    volume: SessionVolume, found: Mapping[int, FoundObject], reach: Reach
) -> tuple[dict[str, Any], np.ndarray | None]:
    """
    Return the arguments with which ``inference.yaml`` segments the same.

    Args:
        volume: that was segmented.
        found: all objects, none of them outdated.
        reach: of all.

    Returns:
        ``points``, ``point_labels``, ``boxes``, ``space``, ``axis``, ``direction`` and ``slice_range``; and the label
        map [X, Y, Z] of ``mask``, or None when there is none.

    Raises:
        ValueError: when objects cannot be stored in this way: their numbers are not 1 to N, nothing says where one of
            them is, or masks that prompt overlap.
    """
    if sorted(found) != list(range(1, len(found) + 1)):
        raise ValueError(
            f"objects {sorted(found)} have prompts, but they must be numbered from 1 without a gap: prompt those that "
            "are missing, or remove them."
        )
    points, labels, boxes = [], [], []
    frame = volume.slices.frame
    numbers = torch.zeros(tuple(volume.stored.shape[1:]), dtype=torch.int16)
    for number, one in sorted(found.items()):
        prompts = one.given.prompts
        assert prompts.points is not None
        assert prompts.point_labels is not None
        assert prompts.boxes is not None
        clicked = prompts.point_labels[0] >= 0
        points.append(_rounded(prompts.points[0][clicked].numpy()))
        labels.append(prompts.point_labels[0][clicked].tolist())
        box = prompts.boxes[0].numpy()
        boxes.append(_rounded(box) if np.isfinite(box).all() else [])
        if not (labels[-1] or boxes[-1] or one.given.masks):
            raise ValueError(f"object {number} has nothing but negative clicks, which do not say where it is.")
        for index, inside in one.given.masks.items():
            here = frame.stored(numbers, index)
            if (other := here[inside]).any():
                raise ValueError(
                    f"objects {int(other.max())} and {number} both have a mask on slice {index} and "
                    "these overlap, which a label map of prompts cannot say."
                )
            here[inside] = number
    arguments = {
        "points": points,
        "point_labels": labels,
        "boxes": boxes,
        "space": "voxel",
        "axis": frame.axis,
        "direction": reach.direction,
        "slice_range": None if reach.slice_range is None else list(reach.slice_range),
    }
    return arguments, numbers.numpy() if bool(numbers.any()) else None


def _rounded(values: np.ndarray) -> Any:
    # Adding 0 turns -0.0 into 0.0.
    return (np.round(values, DECIMALS) + 0.0).tolist()


def _masks_of(packed: Mapping[str, str], slices: SlicedVolume, of_pictures: bool) -> Iterator[tuple[int, torch.Tensor]]:
    for index, text in packed.items():
        if not of_pictures:
            yield int(index), _unpacked(text, slices.stored_size)
            continue
        stored = len(slices) - 1 - int(index) if slices.frame.reversed else int(index)
        yield stored, slices.frame.inverse.turn(_unpacked(text, slices.size))


def _packed(mask: torch.Tensor) -> str:
    return base64.b64encode(zlib.compress(np.packbits(mask.numpy()).tobytes())).decode("ascii")


def _unpacked(text: str, size: Sequence[int]) -> torch.Tensor:
    count = int(np.prod(size))
    stream = zlib.decompressobj()
    # no more than a mask takes, whatever the text says
    raw = stream.decompress(base64.b64decode(text, validate=True), count // 8 + 2)
    if len(raw) != -(-count // 8):
        raise ValueError(f"not a record of a session: a mask of {len(raw)} bytes for slices of {list(size)} pixels.")
    bits = np.unpackbits(np.frombuffer(raw, np.uint8), count=count)
    return torch.from_numpy(bits.reshape(tuple(size)).astype(bool))

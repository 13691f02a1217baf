# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What was said, written down: a session that goes on, and the same labels from ``inference.yaml``."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor

from monai_synthfm.inferers import InteractiveSession
from monai_synthfm.io.nifti import label_image
from tests.bundles.stored_volumes import OBLIQUE, ORIENTATIONS, store
from tests.inferers.level_segmenter import LevelSegmenter
from tests.inferers.session.test_interactive_session import A, B, bright, labels, only

NUMBER = 29
"""Of an orientation in which axes are permuted and flipped."""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    store(tmp_path / "in.nii.gz", bright(), OBLIQUE, ORIENTATIONS[NUMBER])
    return tmp_path / "in.nii.gz"


def session_of(image: Path, **settings: Any) -> InteractiveSession:
    session = InteractiveSession(LevelSegmenter(), axis="axial", modality="mr", at_once=False, **settings)
    session.set_image(image)
    return session


def say_much(session: InteractiveSession) -> None:
    """Clicks, a box, a mask, a chosen answer, and a correction of what propagation brings."""

    def world(*voxel: float) -> list[float]:
        return nib.affines.apply_affine(OBLIQUE, voxel).tolist()

    session.add_points([world(4, 5, 4), world(3, 5, 4)], [1, 1], 1, space="world")
    inside = only(B)
    inside[..., 4:] = False
    session.add_mask(nib.apply_orientation(inside.astype(np.uint8), ORIENTATIONS[NUMBER]), 2)
    session.add_points([world(4, 11, 2)], [1], 3, space="world")
    session.resize("larger", 3)
    session.carry()
    session.add_points([world(4, 5, 7)], [0], 1, space="world")
    session.carry()


def test_a_session_goes_on_from_its_record(image: Path) -> None:
    session, later = session_of(image), session_of(image)
    say_much(session)
    later.load_state_dict(json.loads(json.dumps(session.state_dict())))
    later.carry(*vars(later.reach).values())
    np.testing.assert_array_equal(labels(later), labels(session))
    assert later.state_dict() == session.state_dict()
    for one in (session, later):
        one.remove(one.interactions[2].serial)  # the chosen answer goes with it
    np.testing.assert_array_equal(np.unique(labels(later)), [0, 1, 2])
    assert later.state_dict() == session.state_dict()
    later.undo()
    assert len(later.interactions) == 5


def test_an_earlier_record_whose_masks_are_those_of_pictures_is_read(image: Path) -> None:
    def packed(mask: np.ndarray) -> str:
        return base64.b64encode(zlib.compress(np.packbits(mask).tobytes())).decode()

    session, later = session_of(image), session_of(image)
    say_much(session)
    record, stored = session.state_dict(), nib.load(image)
    turn = nib.orientations.ornt_transform(nib.io_orientation(stored.affine), nib.orientations.axcodes2ornt("LPI"))
    for entry, item in zip(record["interactions"], session.interactions, strict=True):
        inside = np.zeros(stored.shape, bool)
        for index, mask in item.masks.items():
            np.moveaxis(inside, session.frame.axis, 0)[index] = mask.T
        shown = nib.apply_orientation(inside, turn)
        entry["masks"] = {str(k): packed(shown[..., k].T) for k in np.flatnonzero(shown.any(axis=(0, 1)))}
    later.load_state_dict({**record, "format": 1})
    later.carry(*vars(later.reach).values())
    np.testing.assert_array_equal(labels(later), labels(session))
    assert later.state_dict() == session.state_dict()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: record.pop("interactions"),
        lambda record: record.update(format=9),
        lambda record: record.update(direction="up"),
        lambda record: record.update(slice_range=[0, 99]),
        lambda record: record["interactions"][0].update(points=[[1, 2, 99]], point_labels=[1]),
        lambda record: record["interactions"][1].update(masks={"3": "AAAA"}),
        lambda record: (masks := record["interactions"][1]["masks"]).update({"99": masks.popitem()[1]}),
        lambda record: record["interactions"][3].update(choice={"rank": 0, "among": [7]}),
        lambda record: record["interactions"].append(3),
    ],
)
def test_what_is_no_record_changes_nothing(image: Path, spoil: Any) -> None:
    session = session_of(image)
    say_much(session)
    before, record = labels(session).copy(), session.state_dict()
    spoil(record)
    with pytest.raises(ValueError, match=r"record|must be|outside|lie on"):
        session.load_state_dict(record)
    np.testing.assert_array_equal(labels(session), before)
    assert len(session.interactions) == 5


def replayed(bundle_dir: Path, tmp_path: Path, arguments: dict[str, Any]) -> nib.Nifti1Image:
    """What ``inference.yaml`` writes."""
    parser = ConfigParser()
    parser.read_config(str(bundle_dir / "configs" / "inference.yaml"))
    parser.update({"bundle_root": str(bundle_dir), "device": torch.device("cpu"), "output_dir": str(tmp_path / "out")})
    parser.update({**arguments, "network": LevelSegmenter(), "handlers#0#weights": []})
    parser.get_parsed_content("run")
    return nib.load(tmp_path / "out" / "in_segmentation.nii.gz")


@pytest.mark.parametrize("slice_range", [None, (1, 8)])
def test_inference_segments_the_same(
    image: Path, tmp_path: Path, bundle_dir: Path, slice_range: tuple[int, int] | None
) -> None:
    session = session_of(image)
    say_much(session)
    session.carry(slice_range=slice_range)
    arguments, mask = session.inference_arguments()
    nib.save(label_image(mask.astype(np.uint8), image), tmp_path / "mask.nii.gz")
    arguments = {**json.loads(json.dumps(arguments)), "image": str(image), "mask": str(tmp_path / "mask.nii.gz")}
    written = replayed(bundle_dir, tmp_path, arguments)
    assert sorted(np.unique(labels(session))) == [0, 1, 2, 3]
    np.testing.assert_array_equal(np.asarray(written.dataobj), labels(session))
    again = session_of(image)
    again.set_prompts(*(arguments[name] for name in ("points", "point_labels", "boxes", "mask")))
    again.carry(slice_range=slice_range)
    np.testing.assert_array_equal(labels(again), labels(session))


def test_objects_that_a_label_map_cannot_tell_apart_are_refused(image: Path) -> None:
    session = session_of(image)
    inside = nib.apply_orientation(only(A).astype(np.uint8), ORIENTATIONS[NUMBER])
    session.add_mask(inside, 1)
    session.add_mask(inside, 2)
    with pytest.raises(ValueError, match=r"objects 1 and 2 both have a mask on slice . and these overlap"):
        session.inference_arguments()
    session.remove_object(1)
    session.add_mask(inside, 3)
    with pytest.raises(ValueError, match=r"objects \[1, 3\] have prompts, but they must be numbered"):
        session.inference_arguments()


def test_a_label_map_becomes_prompts_of_its_objects() -> None:
    session = InteractiveSession(LevelSegmenter(), axis=2, modality="mr", at_once=False)
    session.set_image(MetaTensor(torch.from_numpy(bright())[None], affine=torch.eye(4)))
    session.add_points([[4, 5, 3]], [1], 5)
    known = only(A) + 4 * only(B)
    session.set_prompts(mask=known)
    np.testing.assert_array_equal(labels(session), known)
    session.undo()
    assert session.voxel_counts == {5: 25}
    for wrong in ({"mask": np.zeros((2, 2, 2))}, {"mask": np.zeros_like(known)}, {}):
        with pytest.raises(ValueError, match=r"mask must be|nothing is prompted"):
            session.set_prompts(**wrong)
    assert session.voxel_counts == {5: 25}

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from scipy import ndimage

from monai_synthfm.inferers import InteractiveSession
from tests.bundles.stored_volumes import OBLIQUE, ORIENTATIONS, store
from tests.inferers.blob_segmenter import BlobSegmenter
from tests.second_device import SECOND, SecondDevice

SHAPE = (16, 14, 10)
A, B = np.s_[2:7, 3:8, 1:9], np.s_[9:14, 4:11, 2:10]
C = np.s_[3:6, 10:13, 0:4]
"""Three bright boxes that touch neither each other nor, across the third axis, change."""


def bright() -> np.ndarray:
    voxels = np.full(SHAPE, 1.0, np.float32)
    for box in (A, B, C):
        voxels[box] = 200.0
    voxels[0, 0, 0] = 220.0
    return voxels


def only(box: tuple) -> np.ndarray:
    inside = np.zeros(SHAPE, bool)
    inside[box] = True
    return inside


@pytest.fixture
def session(tmp_path: Path) -> InteractiveSession:
    nib.save(nib.Nifti1Image(bright(), np.diag([2.0, 2.0, 3.0, 1.0])), tmp_path / "in.nii.gz")
    session = InteractiveSession(BlobSegmenter(), axis=2, modality="mr")
    session.set_image(tmp_path / "in.nii.gz")
    return session


def labels(session: InteractiveSession) -> np.ndarray:
    return np.asarray(session.segmentation[0])


def test_a_click_segments_its_object_through_the_volume(session: InteractiveSession) -> None:
    assert session.add_points([[4, 5, 3]], [1]) == A
    np.testing.assert_array_equal(labels(session), only(A))


def test_each_prompt_says_what_it_changed(session: InteractiveSession) -> None:
    assert session.add_points([[4, 5, 3]], [1]) == A
    assert session.add_box([9, 4, 5, 13, 10, 5], object_id=7) == B
    np.testing.assert_array_equal(labels(session), only(A) + 7 * only(B))
    assert session.add_points([[5, 5, 3]], [1]) is None
    assert session.undo() is None
    assert session.undo() == B
    assert session.undo() == A
    assert not labels(session).any()
    with pytest.raises(ValueError, match="there is no prompt to undo"):
        session.undo()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("direction", "expected"), [("forward", (0, 1)), ("backward", (-1, 0)), ("both", (-1, 1))])
def test_direction_counts_slices_as_the_file_does(axis: int, direction: str, expected: tuple[int, int]) -> None:
    # one axis that runs as the display frame does, two that do not
    image = MetaTensor(torch.from_numpy(bright())[None], affine=torch.diag(torch.tensor([2.0, -2.0, 2.0, 1.0])))
    session = InteractiveSession(BlobSegmenter(), axis=axis, direction=direction, modality="mr")
    session.set_image(image)
    point = [4, 5, 5]
    wanted = list(A)
    low, high = A[axis].start, A[axis].stop
    wanted[axis] = slice(low if expected[0] else point[axis], high if expected[1] else point[axis] + 1)
    assert session.add_points([point], [1]) == tuple(wanted)
    np.testing.assert_array_equal(labels(session), only(tuple(wanted)))


@pytest.mark.parametrize(("place", "first"), [([3, 5, 7], 6), ([4, 5, 7], 7)])
def test_a_negative_click_corrects_what_propagation_brings_or_ends_it(
    session: InteractiveSession, place: list[int], first: int
) -> None:
    session.add_points([[4, 5, 4]], [1])
    # beside the middle the blob is gone by the answer to the click, so that beyond half-way nothing is carried to
    assert session.add_points([place], [0]) == (A[0], A[1], slice(first, 9))
    found = labels(session)
    assert found[A[0], A[1], 1:first].all()
    assert not found[..., first:].any()


def test_a_negative_click_that_meets_nothing_stays_without_effect(session: InteractiveSession) -> None:
    assert session.add_points([[12, 8, 5]], [0]) is None
    assert session.add_points([[4, 5, 3]], [1]) == A
    assert session.add_points([[1, 1, 9]], [0]) is None


def test_a_mask_is_taken_from_an_array_or_a_file(session: InteractiveSession, tmp_path: Path) -> None:
    known = np.zeros(SHAPE, np.uint8)
    known[3:6, 4:8, 3] = 1
    nib.save(nib.Nifti1Image(known, np.diag([2.0, 2.0, 3.0, 1.0])), tmp_path / "mask.nii.gz")
    found = []
    for mask in (known, torch.from_numpy(known)[None] > 0, tmp_path / "mask.nii.gz"):
        session.reset()
        session.add_mask(mask)
        found.append(labels(session))
    expected = only(A)
    expected[..., 3] = known[..., 3]  # a mask without other prompts is believed
    for one in found:
        np.testing.assert_array_equal(one, expected)


def test_arrays_and_tensors_prompt_like_lists(session: InteractiveSession) -> None:
    for points, present in (
        (np.array([[4, 5, 3]]), np.array([1])),
        (torch.tensor([[4.0, 5.0, 3.0]]), torch.tensor([1])),
        ([np.array([4, 5, 3], np.float32)], [np.int64(1)]),
        ([[np.int64(4), np.float32(5), 3]], [1]),
    ):
        assert session.add_points(points, present) == A
        assert session.undo() == A
    corners = [9, 4, 5, 13, 10, 5]
    for box in (np.array(corners), torch.tensor(corners), [*np.array(corners)]):
        assert session.add_box(box) == B
        assert session.undo() == B


@pytest.mark.parametrize("step", [3.0, -3.0])
def test_a_click_half_way_between_slices_belongs_to_the_lower_slice_of_the_file(step: float) -> None:
    session = InteractiveSession(BlobSegmenter(), axis=2, direction="none", modality="mr")
    affine = torch.diag(torch.tensor([2.0, 2.0, step, 1.0]))
    session.set_image(MetaTensor(torch.from_numpy(bright())[None], affine=affine))
    assert session.add_points([[4, 5, 3.5]], [1]) == (A[0], A[1], slice(3, 4))
    assert session.add_box([9, 4, 4.5, 13, 10, 6.5], object_id=2) == (B[0], B[1], slice(4, 7))


class _Elsewhere(MetaTensor):
    """Cannot be read as an array, as an image on an accelerator cannot."""

    def __array__(self, *arguments: Any, **keywords: Any) -> np.ndarray:
        raise TypeError("can't convert to numpy: use Tensor.cpu() to copy the tensor to host memory first.")


def test_an_image_and_a_mask_may_lie_on_another_device() -> None:
    image = _Elsewhere(torch.from_numpy(bright())[None], affine=torch.eye(4))
    session = InteractiveSession(BlobSegmenter(), axis=2, modality="mr")
    session.set_image(image)
    assert session.add_points([[4, 5, 3]], [1]) == A
    inside = only(B)
    inside[..., 6:] = False
    with SecondDevice():
        mask = torch.from_numpy(inside).to(SECOND)
        assert session.add_mask(mask, object_id=2) == B


@pytest.mark.parametrize("window", ["lung", (-600.0, 1500.0)])
def test_a_ct_is_shown_through_the_window_that_is_asked_for(window: str | tuple[float, float]) -> None:
    image = torch.linspace(-3000.0, 3000.0, 6 * 7 * 3).view(1, 6, 7, 3)
    session = InteractiveSession(BlobSegmenter(), axis=2, modality="ct", window=window)
    session.set_image(MetaTensor(image, affine=torch.eye(4)))
    assert (session.scaling["low"], session.scaling["high"]) == (-1350.0, 150.0)


def test_the_modality_that_an_image_names_decides_its_intensities() -> None:
    image = torch.from_numpy(bright())[None] - 300.0  # nothing above 0, as a window takes it and percentiles do not
    session = InteractiveSession(BlobSegmenter(), axis=2)
    session.set_image(MetaTensor(image, affine=torch.eye(4), meta={"modality": "CT"}))
    assert session.intensity.modality == "auto"
    with pytest.raises(ValueError, match="image has no voxel above 0"):
        session.set_image(MetaTensor(image, affine=torch.eye(4), meta={"modality": "MR"}))


def test_prompts_wait_until_something_runs(session: InteractiveSession) -> None:
    assert session.add_points([[4, 5, 3]], [1], run=False) is None
    assert session.add_points([[11, 6, 3]], [1], object_id=2, run=False) is None
    assert not labels(session).any()
    assert session.predict() == (slice(2, 14), slice(3, 11), slice(1, 10))
    assert session.predict() is None
    assert session.reset() == (slice(2, 14), slice(3, 11), slice(1, 10))


ADD = st.one_of(
    st.tuples(st.just("points"), st.tuples(*(st.integers(0, n - 1) for n in SHAPE)), st.integers(0, 1)),
    st.tuples(st.just("box"), st.sampled_from([(2, 3, 4, 6, 7, 5), (9, 4, 2, 13, 10, 2), (1, 9, 1, 14, 12, 1)])),
    st.tuples(st.just("mask"), st.sampled_from([A, B, C]), st.integers(0, 9)),
    st.tuples(st.just("undo")),
)


def say(session: InteractiveSession, what: str, *arguments: Any, object_id: int, run: bool) -> None:
    if what == "points":
        session.add_points([arguments[0]], [arguments[1]], object_id=object_id, run=run)
    elif what == "box":
        session.add_box(arguments[0], object_id=object_id, run=run)
    else:
        mask = only(arguments[0])
        mask[..., np.arange(SHAPE[2]) != arguments[1]] = False
        if mask.any():
            session.add_mask(mask, object_id=object_id, run=run)


@settings(max_examples=25)
@given(st.lists(st.tuples(ADD, st.integers(1, 2), st.booleans()), max_size=9))
def test_any_sequence_equals_a_fresh_session_with_the_prompts_that_remain(steps: list) -> None:
    image = MetaTensor(torch.from_numpy(bright())[None], affine=torch.eye(4))
    session, fresh = (InteractiveSession(BlobSegmenter(), axis=2, modality="mr") for _ in range(2))
    session.set_image(image)
    fresh.set_image(image)
    history: list[tuple] = []
    for (what, *arguments), object_id, run in steps:
        before = labels(session).copy()
        if what == "undo":
            if history:
                session.undo()
                history.pop()
            continue
        count = len(session.interactions)
        say(session, what, *arguments, object_id=object_id, run=run)
        if len(session.interactions) > count:
            history.append((what, *arguments, object_id))
        if not run:
            np.testing.assert_array_equal(labels(session), before)
    changed_from = labels(session).copy()
    changed = session.predict()
    carried_before = [item.step for item in session.interactions]
    for k, (what, *arguments, object_id) in enumerate(history):
        is_carried = carried_before[k] != carried_before[min(k + 1, len(history) - 1)]
        say(fresh, what, *arguments, object_id=object_id, run=is_carried)
    fresh.predict()
    np.testing.assert_array_equal(labels(session), labels(fresh))
    differs = labels(session) != changed_from
    assert changed == (ndimage.find_objects(differs.astype(int))[0] if differs.any() else None)


@pytest.mark.parametrize("number", [0, 5, 18, 29, 40, 47])
def test_result_in_space_does_not_depend_on_how_the_volume_is_stored(tmp_path: Path, number: int) -> None:
    clicks = {1: [4.0, 5.0, 3.0], 2: [11.0, 6.0, 7.0]}
    source = store(tmp_path / "in.nii.gz", bright(), OBLIQUE, ORIENTATIONS[number])
    session = InteractiveSession(BlobSegmenter(), axis="axial", modality="mr")
    session.set_image(tmp_path / "in.nii.gz")
    for object_id, click in clicks.items():
        world = nib.affines.apply_affine(OBLIQUE, click)
        changed = session.add_points([world.tolist()], [1], object_id, space="world")
        expected = ndimage.find_objects((labels(session) == object_id).astype(int))[0]
        assert changed == expected
    session.add_points([(world * [-1, -1, 1]).tolist()], [1], object_id=2, space="lps")
    expected = nib.apply_orientation(only(A) + 2 * only(B), ORIENTATIONS[number])
    np.testing.assert_array_equal(labels(session), expected)
    session.save(tmp_path / "out" / "seg.nii.gz")
    written = nib.load(tmp_path / "out" / "seg.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), expected)
    assert written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(written.affine, source.affine)
    assert (written.header["sform_code"], written.header.get_xyzt_units()) == (2, ("mm", "unknown"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["seg.nii.gz"]


def test_a_cache_on_disk_saves_the_encoding(tmp_path: Path) -> None:
    network = BlobSegmenter()
    image = MetaTensor(torch.from_numpy(bright())[None], affine=torch.eye(4))
    for _ in range(2):
        session = InteractiveSession(network, axis=2, modality="mr", cache_dir=tmp_path / "c")
        session.set_image(image)
        assert session.add_points([[4, 5, 3]], [1]) == A
    assert network.encoded == SHAPE[2]
    with pytest.raises(ValueError, match="is stale: image_sha256"):
        session.set_image(MetaTensor(image.as_tensor().flip(1), affine=torch.eye(4)))
    np.testing.assert_array_equal(labels(session), only(A))


def test_a_cache_may_be_given_to_the_next_image(tmp_path: Path) -> None:
    network = BlobSegmenter()
    session = InteractiveSession(network, axis=2, modality="mr", cache_dir=tmp_path / "c", on_stale="replace")
    session.set_image(MetaTensor(torch.from_numpy(bright())[None], affine=torch.eye(4)))
    assert session.add_points([[4, 5, 3]], [1]) == A
    session.set_image(MetaTensor(torch.from_numpy(bright()[::-1].copy())[None], affine=torch.eye(4)))
    assert session.add_points([[11, 5, 3]], [1]) == (slice(9, 14), *A[1:])
    assert network.encoded == 2 * SHAPE[2]
    assert len(list((tmp_path / "c").glob("slice-*.npz"))) == SHAPE[2]


def test_a_new_image_begins_anew(session: InteractiveSession) -> None:
    session.add_points([[4, 5, 3]], [1])
    session.set_image(MetaTensor(torch.from_numpy(bright())[None, :, :, :8], affine=torch.eye(4)))
    assert session.segmentation.shape == (1, *SHAPE[:2], 8)
    assert not labels(session).any()
    with pytest.raises(ValueError, match="no prompt to undo"):
        session.undo()


def test_a_propagation_that_fails_changes_nothing(session: InteractiveSession) -> None:
    session.add_points([[4, 5, 3]], [1])
    before = labels(session).copy()
    working = session.propagation

    def broken(*arguments: Any) -> None:
        raise MemoryError("no memory left")

    session.propagation = broken  # type: ignore[assignment]
    with pytest.raises(MemoryError):
        session.add_points([[11, 6, 3]], [1], object_id=2)
    session.propagation = working
    assert session.predict() is None
    np.testing.assert_array_equal(labels(session), before)
    session.undo()
    assert not labels(session).any()


WRONG: dict[str, tuple[Callable[[InteractiveSession], Any], str]] = {
    "outside": (lambda s: s.add_points([[4, 14, 3]], [1]), "click 1 of object 1 lies outside the volume"),
    "labels": (lambda s: s.add_points([[4, 5, 3]], [1, 0]), "must be a list of 1 labels, as many as clicks"),
    "object": (lambda s: s.add_points([[4, 5, 3]], [1], object_id=0), "object_id must be from 1 to 32767, got 0"),
    "box": (lambda s: s.add_box([1, 2, 3, 4]), "must be finite numbers"),
    "space": (lambda s: s.add_box([1, 2, 3, 4, 5, 6], space="mm"), "space must be one of voxel, world, lps"),
    "mask shape": (lambda s: s.add_mask(np.ones((3, 3, 3))), r"mask must be \[16, 14, 10\]"),
    "mask": (lambda s: s.add_mask(np.zeros(SHAPE)), "above 0 somewhere"),
    "path": (lambda s: s.save("seg.png"), r"path must end with \.nii or \.nii\.gz, got seg\.png"),
    "image": (lambda s: s.set_image(MetaTensor(torch.rand(2, 3, 3, 3))), r"image must be a volume \[1, X, Y, Z\]"),
    "series": (
        lambda s: s.set_image(MetaTensor(torch.rand(1, 3, 3, 3)), series=3),
        "series 3 is to be chosen in a folder",
    ),
    "nan": (lambda s: s.set_image(MetaTensor(torch.full((1, 3, 3, 3), torch.nan))), "NaN"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls_are_refused_and_change_nothing(session: InteractiveSession, name: str) -> None:
    session.add_points([[4, 5, 3]], [1])
    call, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        call(session)
    assert session.predict() is None
    np.testing.assert_array_equal(labels(session), only(A))


def test_what_needs_an_image_says_so() -> None:
    session = InteractiveSession(BlobSegmenter())
    with pytest.raises(ValueError, match="there is no image: call set_image first"):
        session.add_points([[1, 1, 1]], [1])
    with pytest.raises(ValueError, match="direction must be one of both, forward, backward, none, got 'up'"):
        InteractiveSession(BlobSegmenter(), direction="up")


@pytest.mark.parametrize("memory", [0, 3 * 16 * 14 * 4, None])
def test_each_slice_is_encoded_once_whatever_fits_memory_and_the_result_is_the_same(
    session: InteractiveSession, memory: int | None
) -> None:
    small = InteractiveSession(BlobSegmenter(), axis=2, modality="mr", memory=memory)
    small.set_image(MetaTensor(bright()[None], affine=torch.diag(torch.tensor([2.0, 2.0, 3.0, 1.0]))))
    for one in (session, small):
        one.add_points([[4, 5, 3]], [1])
        one.add_points([[11, 7, 5]], [1], object_id=2)
        one.undo()
        one.add_points([[4, 11, 1]], [1], object_id=3)
    assert small.network.encoded == SHAPE[2]
    np.testing.assert_array_equal(labels(small), labels(session))


def test_memory_that_is_no_number_of_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="memory must be a number of bytes, got -1"):
        InteractiveSession(BlobSegmenter(), memory=-1)

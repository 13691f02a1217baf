# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A second look at a window around each object, against windows that are cut by hand."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_synthfm.inferers import EmbeddingCache, InteractiveSession, VolumeInferer
from monai_synthfm.networks import ImageEmbedding, MobileSam, NetworkSettings, Promptable, Sam2, Zoom
from monai_synthfm.networks.preprocessing import as_logits
from monai_synthfm.networks.weights.fingerprint import describe_network
from monai_synthfm.prompts.prompts import Prompts


class Coarse(Promptable):
    """Answers with what is bright, on a grid of 16 x 16, wherever it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.image_size = 16
        self.asked: list[Prompts] = []
        self.seen: list[torch.Tensor] = []

    def describe(self):
        return NetworkSettings("Coarse", {"image_size": 16}, {})

    def encode(self, image):
        self.seen.append(image)
        size = (image.shape[2], image.shape[3])
        return ImageEmbedding(F.adaptive_avg_pool2d(image, 16), size, size)

    def predict_masks(self, embedding, prompts):
        self.asked.append(prompts)
        logits = (embedding.features[:, None] - 0.5) * 10.0
        logits = logits.expand(-1, prompts.num_objects, 4, -1, -1)
        return logits, torch.ones(logits.shape[:3])

    def postprocess(self, logits, embedding):
        return F.interpolate(logits, embedding.original_size, mode="nearest")

    def mask_prompt(self, masks, embedding):
        return F.adaptive_avg_pool2d(as_logits(masks), 16)[:, None]


def bright(height: int, width: int, rows: slice, columns: slice) -> torch.Tensor:
    image = torch.zeros(1, 1, height, width)
    image[..., rows, columns] = 1.0
    return image


def box(*corners: float) -> Prompts:
    return Prompts(boxes=torch.tensor([corners]))


def test_a_thin_object_that_the_whole_image_hides_is_found_in_the_window() -> None:
    image = bright(128, 128, slice(60, 70), slice(61, 64))
    coarse, zoom = Coarse(), Zoom(Coarse())
    prompts = box(61.0, 60.0, 63.0, 69.0)
    embedding = coarse.encode(image)
    first = coarse.postprocess(coarse.decode(embedding, prompts.batched()), embedding)[0, 0] > 0
    embedding = zoom.encode(image)
    second = zoom.postprocess(zoom.decode(embedding, prompts), embedding)[0, 0] > 0
    target = image[0, 0] > 0
    assert not first.any()
    overlap = 2.0 * (second & target).sum() / (second.sum() + target.sum())
    assert overlap > 0.6


def test_the_window_is_a_square_around_the_box_and_prompts_move_with_it() -> None:
    zoom = Zoom(Coarse())
    prompts = Prompts(
        points=torch.tensor([[[50.0, 40.0], [90.0, 40.0], [0.0, 0.0]]]),
        point_labels=torch.tensor([[1, 0, -1]]),
        boxes=torch.tensor([[46.0, 30.0, 55.0, 49.0]]),
    )
    image = torch.rand(1, 1, 200, 160)
    zoom.decode(zoom.encode(image), prompts)
    inner = zoom.network
    # the box has 20 rows, from 29.5 to 49.5, and 10 columns from 45.5 to 55.5: 60 pixels around (39.5, 50.5)
    assert torch.equal(inner.seen[1], image[:, :, 10:70, 21:81])
    assert inner.asked[1].boxes.tolist() == [[[25.0, 20.0, 34.0, 39.0]]]
    assert inner.asked[1].points[0, 0, 0].tolist() == [29.0, 30.0]
    assert inner.asked[1].point_labels.tolist() == [[[1, -1, -1]]]


def test_both_looks_are_averaged_within_the_window_and_background_is_without() -> None:
    network = MobileSam(image_size=64).eval()
    zoom = Zoom(network).eval()
    image, prompts = torch.rand(1, 3, 100, 80), box(20.0, 30.0, 28.0, 39.0)
    with torch.no_grad():
        answer = zoom(image, boxes=prompts.boxes)[0, 0]
        whole = network(image, boxes=prompts.boxes)[0, 0]
        window = network(image[:, :, 20:50, 9:39], boxes=torch.tensor([[11.0, 10.0, 19.0, 19.0]]))[0, 0]
    expected = np.full((100, 80), -8.0)
    expected[20:50, 9:39] = (whole[20:50, 9:39].clip(-8, 8) + window.clip(-8, 8)) / 2
    np.testing.assert_allclose(answer, expected, atol=0.05)  # a thousandth of what is above 8 leaks


@pytest.mark.parametrize("corners", [(0, 0, 8, 6), (91, 73, 99, 79), (0, 73, 5, 79), (50, 0, 58, 8)])
def test_nothing_is_lost_at_the_edges_of_the_image(corners: tuple[int, int, int, int]) -> None:
    x0, y0, x1, y1 = corners
    zoom = Zoom(Coarse())
    target = bright(80, 100, slice(y0, y1 + 1), slice(x0, x1 + 1))
    answer = zoom.decode(zoom.encode(torch.ones(1, 1, 80, 100)), box(*map(float, corners)))
    assert len(zoom.network.seen) == 2
    assert (answer[target > 0] > 0).all()


def test_specks_far_from_the_clicked_piece_do_not_widen_the_window() -> None:
    image = bright(160, 160, slice(60, 80), slice(60, 80))
    image[..., :10, :10] = 1.0
    zoom = Zoom(Coarse())
    zoom.decode(zoom.encode(image), Prompts(torch.tensor([[[70.0, 70.0]]]), torch.tensor([[1]])))
    assert torch.equal(zoom.network.seen[1], image[:, :, 40:100, 40:100])
    elsewhere = Zoom(Coarse())
    elsewhere.decode(elsewhere.encode(image), Prompts(torch.tensor([[[120.0, 70.0]]]), torch.tensor([[1]])))
    # from the largest piece to the click: columns 60 to 120
    assert len(elsewhere.network.seen) == 1


@pytest.mark.parametrize(
    "prompts",
    [
        box(5.0, 5.0, 60.0, 60.0),
        Prompts(torch.tensor([[[9.0, 9.0]]]), torch.tensor([[1]])),
        Prompts(torch.tensor([[[9.0, 9.0]]]), torch.tensor([[0]]), masks=None),
    ],
    ids=["large", "not found", "negative click alone"],
)
def test_objects_without_a_window_keep_their_first_mask(prompts: Prompts) -> None:
    image = torch.zeros(1, 1, 80, 80)
    coarse, zoom = Coarse(), Zoom(Coarse())
    whole = coarse.encode(image)
    expected = coarse.postprocess(coarse.decode(whole, prompts.batched()), whole)
    assert torch.equal(zoom.decode(zoom.encode(image), prompts), expected)
    assert len(zoom.network.seen) == 1


def test_logits_are_limited_for_all_objects_alike_and_keep_their_order() -> None:
    class Sure(Coarse):
        def predict_masks(self, embedding, prompts):
            logits, iou = super().predict_masks(embedding, prompts)
            return 10.0 * logits, iou

    zoom = Zoom(Sure())
    prompts = Prompts(boxes=torch.tensor([[5.0, 5.0, 14.0, 14.0], [0.0, 0.0, 60.0, 60.0]]))
    answer = zoom.decode(zoom.encode(bright(80, 80, slice(0, 60), slice(0, 60))), prompts)[0]
    assert len(zoom.network.seen) == 2
    # 50 in both looks, and in the first alone
    assert answer[0, 8, 8] == answer[1, 8, 8] == pytest.approx(8.0 + 0.042)


def test_mask_prompts_are_brought_to_each_look_by_the_network() -> None:
    zoom, image = Zoom(Coarse()), torch.zeros(1, 1, 160, 160)
    embedding = zoom.encode(image)
    mask = torch.zeros(1, 160, 160, dtype=torch.bool)
    mask[:, 40:50, 60:70] = True
    # a negative click, but neither box nor positive one: where the mask is says where to look
    points, labels = torch.tensor([[[100.0, 100.0]]]), torch.tensor([[0]])
    zoom.decode(embedding, Prompts(points, labels, masks=zoom.mask_prompt(mask, embedding)))
    first, second = (asked.masks[0] for asked in zoom.network.asked)
    logits = torch.where(mask, 10.0, -10.0)
    assert torch.equal(first, F.adaptive_avg_pool2d(logits, 16)[:, None])
    assert torch.equal(second, F.adaptive_avg_pool2d(logits[:, 30:60, 50:80], 16)[:, None])


@pytest.mark.parametrize("clicks", [[[0, 5.0, 5.0]], [[1, 34.0, 34.0]]], ids=["negative", "on one piece"])
def test_a_mask_that_prompts_keeps_all_its_pieces(clicks: list[list[float]]) -> None:
    image = bright(160, 160, slice(30, 40), slice(30, 40)) + bright(160, 160, slice(50, 60), slice(50, 60))
    zoom = Zoom(Coarse())
    embedding = zoom.encode(image)
    masks = zoom.mask_prompt(image[0] > 0, embedding)
    points = torch.tensor([[click[1:] for click in clicks]])
    labels = torch.tensor([[int(click[0]) for click in clicks]])
    answer = zoom.decode(embedding, Prompts(points, labels, masks=masks))
    assert len(zoom.network.seen) == 2
    assert ((answer[0, 0] > 0) & (image[0, 0] > 0))[50:60, 50:60].any()


def test_a_mask_alone_takes_no_second_look() -> None:
    zoom = Zoom(Coarse())
    embedding = zoom.encode(torch.rand(1, 1, 160, 160))
    masks = zoom.mask_prompt(bright(160, 160, slice(30, 40), slice(30, 40))[0] > 0, embedding)
    assert torch.equal(zoom.decode(embedding, Prompts(masks=masks))[0], masks[:, 0])
    assert len(zoom.network.seen) == 1


def test_a_single_click_stays_one_and_two_stay_two() -> None:
    chosen: list[str] = []

    class Choosing(Coarse):
        def decode(self, embedding, prompts, multimask=None):
            chosen.append(multimask)
            return super().decode(embedding, prompts, "never")

    zoom = Zoom(Choosing())
    embedding = zoom.encode(bright(160, 160, slice(60, 80), slice(60, 80)))
    click = torch.tensor([[[70.0, 70.0], [150.0, 150.0]]])
    zoom.decode(embedding, Prompts(click, torch.tensor([[1, -1]])), "single_click")
    zoom.decode(embedding, Prompts(click, torch.tensor([[1, 0]])), "single_click")
    assert chosen == ["single_click", "always", "single_click", "never"]


def test_a_session_corrects_and_undoes(tmp_path: Path) -> None:
    zoom = Zoom(MobileSam(image_size=64).eval()).eval()
    nib.save(
        nib.Nifti1Image(np.random.default_rng(0).random((40, 36, 3), dtype=np.float32), np.eye(4)), tmp_path / "a.nii"
    )
    session = InteractiveSession(zoom)
    session.set_image(tmp_path / "a.nii")
    session.add_box([10, 8, 1, 18, 16, 1])
    before = np.asarray(session.segmentation).copy()
    session.add_points([[12, 10, 2]], [0])
    session.undo()
    assert before.any()
    assert np.array_equal(np.asarray(session.segmentation), before)


def test_a_network_with_finer_features_looks_twice() -> None:
    network = Sam2("sam2.1_hiera_tiny", image_size=64).eval()
    image, boxes = torch.rand(1, 3, 96, 80), torch.tensor([[20.0, 30.0, 28.0, 39.0]])
    with torch.no_grad():
        answer = Zoom(network).eval()(image, boxes=boxes)[0, 0]
        whole = network(image, boxes=boxes)[0, 0]
        window = network(image[:, :, 20:50, 9:39], boxes=torch.tensor([[11.0, 10.0, 19.0, 19.0]]))[0, 0]
    expected = np.full((96, 80), -8.0)
    expected[20:50, 9:39] = (whole[20:50, 9:39].clip(-8, 8) + window.clip(-8, 8)) / 2
    np.testing.assert_allclose(answer, expected, atol=0.05)


def test_an_answer_can_prompt_again() -> None:
    zoom = Zoom(MobileSam(image_size=64).eval()).eval()
    image, boxes = torch.rand(1, 1, 90, 70), torch.tensor([[10.0, 10.0, 20.0, 24.0]])
    with torch.no_grad():
        answer = zoom(image, boxes=boxes)
        again = zoom(image, boxes=boxes, masks=answer[0, :, None])
    assert again.shape == answer.shape
    assert not torch.equal(again, answer)
    with pytest.raises(ValueError, match=r"masks must have the \(90, 70\) pixels of the image"):
        zoom(image, boxes=boxes, masks=torch.zeros(1, 1, 16, 16))


@settings(max_examples=60)
@given(st.integers(30, 200), st.integers(30, 200), st.data())
def test_windows_lie_in_the_image_and_hold_box_and_clicks(height: int, width: int, data: st.DataObject) -> None:
    x = sorted(data.draw(st.lists(st.integers(0, width - 1), min_size=2, max_size=2)))
    y = sorted(data.draw(st.lists(st.integers(0, height - 1), min_size=2, max_size=2)))
    click = (data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1)))
    prompts = Prompts(
        points=torch.tensor([[click]], dtype=torch.float32),
        point_labels=torch.tensor([[1]]),
        boxes=torch.tensor([[x[0], y[0], x[1], y[1]]], dtype=torch.float32),
    )
    zoom = Zoom(Coarse())
    answer = zoom.decode(zoom.encode(torch.rand(1, 1, height, width)), prompts)
    assert answer.shape == (1, 1, height, width)
    span = max(max(x[1], click[0]) - min(x[0], click[0]), max(y[1], click[1]) - min(y[0], click[1]))
    assert (len(zoom.network.seen) == 2) == (max(24, 3 * (span + 1)) < max(height, width))
    if len(zoom.network.seen) == 2:
        inner = zoom.network.asked[1]
        size = torch.tensor(zoom.network.seen[1].shape[:1:-1])
        for corner in (inner.points[0, 0, 0], *inner.boxes[0, 0].view(2, 2)):
            assert (corner >= 0.0).all()
            assert (corner <= size - 1.0).all()


def test_objects_and_images_of_a_batch_are_those_asked_alone() -> None:
    zoom = Zoom(MobileSam(image_size=64).eval()).eval()
    images = torch.rand(2, 1, 90, 90)
    boxes = torch.tensor([[[10.0, 10.0, 20.0, 24.0], [50.0, 40.0, 60.0, 60.0]]]).repeat(2, 1, 1)
    with torch.no_grad():
        together = zoom(images, boxes=boxes)
        for b in range(2):
            for n in range(2):
                alone = zoom(images[b : b + 1], boxes=boxes[b : b + 1, n : n + 1])
                torch.testing.assert_close(together[b, n], alone[0, 0], atol=1e-4, rtol=1e-4)


def test_alternatives_are_those_of_the_first_look_in_pixels_of_the_image() -> None:
    network = MobileSam(image_size=64).eval()
    zoom, image = Zoom(network).eval(), torch.rand(1, 1, 90, 70)
    prompts = box(10.0, 10.0, 20.0, 24.0).batched()
    with torch.no_grad():
        logits, iou = zoom.predict_masks(zoom.encode(image), prompts)
        embedding = network.encode(image)
        low, expected = network.predict_masks(embedding, prompts)
        assert torch.equal(logits[0], network.postprocess(low[0], embedding))
    assert torch.equal(iou, expected)


def test_a_decoder_drawn_anew_is_not_known_to_combine_prompts() -> None:
    zoom = Zoom(MobileSam(image_size=64))
    before = zoom.network.mask_decoder.iou_token.weight.clone()
    assert zoom.combines_prompts
    zoom.network.reset_decoder(seed=4)
    assert not zoom.combines_prompts
    assert not torch.equal(zoom.network.mask_decoder.iou_token.weight, before)


def test_objects_without_box_among_others_with_one_are_looked_at_by_their_clicks() -> None:
    image = bright(160, 160, slice(60, 80), slice(60, 80))
    zoom = Zoom(Coarse())
    nothing = float("nan")
    prompts = Prompts(
        points=torch.tensor([[[70.0, 70.0]], [[0.0, 0.0]]]),
        point_labels=torch.tensor([[1], [-1]]),
        boxes=torch.tensor([[nothing] * 4, [20.0, 20.0, 29.0, 29.0]]),
    )
    zoom.decode(zoom.encode(image), prompts)
    assert torch.equal(zoom.network.seen[1], image[:, :, 40:100, 40:100])
    assert torch.equal(zoom.network.seen[2], image[:, :, 10:40, 10:40])


def test_volumes_are_segmented_with_embeddings_from_memory_and_from_disk_alike(tmp_path: Path) -> None:
    zoom = Zoom(MobileSam(image_size=64).eval()).eval()
    volume = torch.rand(1, 1, 48, 40, 5)
    boxes = torch.tensor([[[10.0, 8.0, 2.0, 18.0, 16.0, 2.0]]])
    with torch.no_grad():
        plain = VolumeInferer()(volume, zoom, boxes=boxes)
        cache = EmbeddingCache(tmp_path, {"volume": "random"}, dtype="float32")
        cached = VolumeInferer(store=lambda volume, axis, network: cache)(volume, zoom, boxes=boxes)
    assert len(cache) >= 1
    assert torch.equal(plain, cached)


def test_the_description_names_both_and_the_weights_are_those_of_the_network() -> None:
    network = MobileSam(image_size=64)
    plain, zoom, wide = (describe_network(one) for one in (network, Zoom(network), Zoom(network, margin=4.0)))
    assert zoom == {**plain, "network": "Zoom(MobileSam)", "margin": 3.0}
    assert zoom != wide
    choosing = Zoom(network)
    choosing.multimask = "always"
    assert describe_network(choosing)["multimask"] == "always"


@pytest.mark.parametrize("margin", [1.0, float("inf"), float("nan")])
def test_a_margin_that_leaves_no_room_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match=f"margin must be a number above 1, got {margin}"):
        Zoom(Coarse(), margin=margin)

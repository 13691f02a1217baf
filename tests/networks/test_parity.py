# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Our network against segment-anything's own predictor with the same random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segment_anything import SamPredictor
from torch.nn import functional as F

from monai_synthfm.networks import Sam
from monai_synthfm.prompts.prompts import Prompts

SIZES = [(128, 128), (100, 200), (170, 90), (96, 128), (50, 40)]
MASK = np.random.RandomState(3).randn(1, 32, 32).astype(np.float32)


def random_image(size: tuple[int, int], channels: int = 3, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(size))
    return torch.randint(0, 256, (batch, channels, *size), generator=generator) / 255


def set_upstream(upstream: SamPredictor, image: torch.Tensor) -> None:
    """Give upstream an image by its tensor path.

    ``apply_image_torch`` of segment-anything 1.0 reads the target size from the wrong dimensions, so its arithmetic is
    repeated with upstream's own target size.
    """
    height, width = image.shape[-2:]
    size = upstream.transform.get_preprocess_shape(height, width, 128)
    resized = F.interpolate(255 * image, size, mode="bilinear", align_corners=False, antialias=True)
    upstream.set_torch_image(resized.expand(-1, 3, -1, -1), (height, width))


def as_prompts(given: dict[str, np.ndarray]) -> Prompts:
    """One object of one image, from the arguments of upstream's ``predict``."""
    points, box, mask = given.get("point_coords"), given.get("box"), given.get("mask_input")
    return Prompts(
        points=None if points is None else torch.from_numpy(points).float()[None, None],
        point_labels=None if points is None else torch.from_numpy(given["point_labels"])[None, None],
        boxes=None if box is None else torch.from_numpy(box).float()[None, None],
        masks=None if mask is None else torch.from_numpy(mask)[None, None],
    )


def prompts_of(kind: str, size: tuple[int, int]) -> dict[str, np.ndarray]:
    height, width = size
    clicks = np.array([[0.3 * width, 0.6 * height], [0.8 * width, 0.1 * height], [1.0, 2.0]])
    box = np.array([0.1 * width, 0.2 * height, 0.7 * width, 0.9 * height])
    pieces = {
        "click": {"point_coords": clicks[:1], "point_labels": np.array([1])},
        "clicks": {"point_coords": clicks, "point_labels": np.array([1, 0, 0])},
        "box": {"box": box},
        "mask": {"mask_input": MASK},
    }
    return {key: value for part in kind.split("+") for key, value in pieces[part].items()}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["click", "clicks", "box", "clicks+box", "mask", "clicks+mask", "clicks+box+mask"])
def test_logits_and_iou_equal_upstream(sam: Sam, upstream: SamPredictor, kind: str, size: tuple[int, int]) -> None:
    image = random_image(size)
    set_upstream(upstream, image)
    given = prompts_of(kind, size)
    single, _, single_low = upstream.predict(**given, multimask_output=False, return_logits=True)
    _, iou, multi_low = upstream.predict(**given, multimask_output=True, return_logits=True)
    prompts = as_prompts(given)
    with torch.no_grad():
        embedding = sam.encode(image)
        low, quality = sam.predict_masks(embedding, prompts)
        full = sam(image, prompts.points, prompts.point_labels, prompts.boxes, prompts.masks)
        best = sam.decode(embedding, prompts, multimask="always")
    np.testing.assert_allclose(low[0, 0, :1], single_low, atol=1e-4)
    np.testing.assert_allclose(low[0, 0, 1:], multi_low, atol=1e-4)
    np.testing.assert_allclose(quality[0, 0, 1:], iou, atol=1e-4)
    assert single.std() > 1e-2
    if kind == "mask":  # which is answered as it is, see test_mask_prompt.py
        return
    np.testing.assert_allclose(best[0, 0], multi_low[iou.argmax()], atol=1e-4)
    np.testing.assert_allclose(full[0], single, atol=1e-4)


def test_image_of_the_networks_size_equals_upstreams_uint8_path(sam: Sam, upstream: SamPredictor) -> None:
    image = random_image((96, 128))
    upstream.set_image((255 * image[0]).round().to(torch.uint8).permute(1, 2, 0).numpy())
    given = prompts_of("clicks", (96, 128))
    expected, _, _ = upstream.predict(**given, multimask_output=False, return_logits=True)
    prompts = as_prompts(given)
    with torch.no_grad():
        found = sam(image, prompts.points, prompts.point_labels)
    np.testing.assert_allclose(found[0], expected, atol=1e-4)


def test_grey_image_equals_the_same_image_in_three_channels(sam: Sam) -> None:
    grey = random_image((60, 90), channels=1)
    with torch.no_grad():
        torch.testing.assert_close(sam(grey), sam(grey.expand(-1, 3, -1, -1)), atol=1e-5, rtol=0)


def test_image_alone_is_segmented_from_a_click_at_its_centre(sam: Sam, upstream: SamPredictor) -> None:
    image = random_image((100, 200))
    set_upstream(upstream, image)
    expected, _, _ = upstream.predict(
        point_coords=np.array([[99.5, 49.5]]), point_labels=np.array([1]), multimask_output=False, return_logits=True
    )
    with torch.no_grad():
        np.testing.assert_allclose(sam(image)[0], expected, atol=1e-4)


labels_of_objects = st.lists(
    st.tuples(st.lists(st.sampled_from([-1, 0, 1]), min_size=4, max_size=4), st.booleans()), min_size=6, max_size=6
)


@settings(max_examples=15)
@given(objects=labels_of_objects, seed=st.integers(0, 2**31 - 1), per_pass=st.integers(1, 6))
def test_any_mixture_of_objects_in_a_batch_equals_upstream_one_by_one(
    sam: Sam, upstream: SamPredictor, objects: list[tuple[list[int], bool]], seed: int, per_pass: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, 128, 96, generator=generator)
    points = 90 * torch.rand(2, 3, 4, 2, generator=generator)
    labels = torch.tensor([clicks for clicks, _ in objects]).view(2, 3, 4)
    points[labels < 0] = torch.nan
    has_box = torch.tensor([box for _, box in objects]).view(2, 3)
    low = 40 * torch.rand(2, 3, 2, generator=generator)
    boxes = torch.cat([low, low + 30], dim=-1)
    boxes[~has_box] = torch.nan
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(sam, "objects_per_pass", per_pass)
        found = sam.decode(sam.encode(images), Prompts(points, labels, boxes))
    for b in range(2):
        set_upstream(upstream, images[b : b + 1])
        for n in range(3):
            valid = labels[b, n] >= 0
            _, _, expected = upstream.predict_torch(
                points[b, n, valid][None] if valid.any() else None,
                labels[b, n, valid][None] if valid.any() else None,
                boxes[b, n][None] if has_box[b, n] else None,
                multimask_output=False,
                return_logits=True,
            )
            torch.testing.assert_close(found[b, n], expected[0, 0], atol=1e-4, rtol=0)


def test_padding_and_grouping_change_nothing_to_1e_5(sam: Sam) -> None:
    image = random_image((128, 128), batch=2)
    points = torch.tensor([[[20.0, 30.0], [64.0, 100.0]], [[90.0, 10.0], [0.0, 0.0]], [[50.0, 50.0], [0.0, 0.0]]])
    labels = torch.tensor([[1, 0], [1, -1], [-1, -1]])
    boxes = torch.full((3, 4), torch.nan)
    boxes[2] = torch.tensor([10.0, 10.0, 60.0, 80.0])
    with torch.no_grad():
        together = sam.decode(
            sam.encode(image),
            Prompts(points.expand(2, -1, -1, -1), labels.expand(2, -1, -1), boxes.expand(2, -1, -1)),
        )
        for b in range(2):
            embedding = sam.encode(image[b : b + 1])
            alone = [
                Prompts(points=points[:1], point_labels=labels[:1]),
                Prompts(points=points[1:2, :1], point_labels=labels[1:2, :1]),
                Prompts(boxes=boxes[2:]),
            ]
            for n, prompts in enumerate(alone):
                torch.testing.assert_close(together[b, n], sam.decode(embedding, prompts)[0, 0], atol=1e-5, rtol=0)

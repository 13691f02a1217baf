# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Whole samples: regions and instances agree, resampling keeps both together, and nothing else has a say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_synthfm.synthesis.appearance import AppearanceParams, NoiseParams, TextureParams
from monai_synthfm.synthesis.bezier import BezierShapesParams, EllipseParams, draw_shapes, ellipse_mask
from monai_synthfm.synthesis.boundaries import BoundaryParams, CanvasParams, boundary_instances
from monai_synthfm.synthesis.label_maps import LabelMapParams, synthmorph_labels
from monai_synthfm.synthesis.synthfm import SampleParams, synthesize

LEFT = ((0.15, 0.2), (0.45, 0.2), (0.45, 0.8), (0.15, 0.8))
RIGHT = ((0.55, 0.2), (0.85, 0.2), (0.85, 0.8), (0.55, 0.8))
PHANTOM = EllipseParams((0.5, 0.5), (0.45, 0.45), 0.0)
LABEL_MAP = LabelMapParams((64, 64), 10, (0.125, 0.25), (0.0625, 0.25), 0.05, 32, seed=4)


def shapes(
    *outlines: tuple[tuple[float, float], ...],
    native: tuple[int, int] = (64, 64),
    size: tuple[int, ...] = (64, 64),
    noises: tuple[NoiseParams, ...] = (),
) -> SampleParams:
    structure = BezierShapesParams(native, outlines, (False,) * len(outlines), PHANTOM)
    values = (0.0, *np.linspace(0.5, 1.0, len(outlines)), 0.25)
    return SampleParams(size, structure, AppearanceParams(values, (), 0.0, noises))


def boundary(size: tuple[int, ...] = (64, 64), label_map: LabelMapParams = LABEL_MAP) -> SampleParams:
    canvas = CanvasParams(0.6, 0.6, 0.0, (0.0, 1.0), -0.3, 0)
    structure = BoundaryParams(label_map, (2,) * label_map.num_labels)
    return SampleParams(size, structure, AppearanceParams(canvas, (), 0.0, ()))


def test_background_shapes_and_phantom_take_their_own_values() -> None:
    image, labels = synthesize(shapes(LEFT, RIGHT))
    drawn = draw_shapes(shapes(LEFT, RIGHT).structure)[0]  # type: ignore[arg-type]
    phantom = ellipse_mask(PHANTOM, (64, 64)) & (drawn == 0)
    assert torch.equal(labels, drawn)
    values = [image[where].unique().tolist() for where in (~phantom & (drawn == 0), phantom, drawn == 1, drawn == 2)]
    assert values == [[0.0], [0.25], [0.5], [1.0]]


def test_hidden_shapes_leave_no_gap_in_the_numbering() -> None:
    image, labels = synthesize(shapes(LEFT, LEFT, RIGHT))
    assert labels.unique().tolist() == [0, 1, 2]
    assert image[labels == 1].unique().item() == pytest.approx(0.75)


def test_boundary_image_is_bright_inside_instances_and_dark_in_the_gaps() -> None:
    image, labels = synthesize(boundary())
    assert torch.equal(image == 1.0, labels > 0)
    assert torch.equal(image == 0.0, labels == 0)


def test_boundary_instances_agree_with_scipy() -> None:
    labels = synthmorph_labels(LABEL_MAP).numpy()
    mask = np.zeros(labels.shape, dtype=bool)
    for label in range(10):
        mask |= ndimage.binary_erosion(labels == label, iterations=1 + label % 2, border_value=1)
    expected = ndimage.label(mask)[0]
    instances = boundary_instances(BoundaryParams(LABEL_MAP, tuple(1 + label % 2 for label in range(10))))
    np.testing.assert_array_equal(instances.numpy(), expected)


@pytest.mark.parametrize("size", [(128, 128), (32, 32), (48, 80)])
def test_resampling_keeps_image_and_labels_together(size: tuple[int, int]) -> None:
    native_image, native_labels = synthesize(shapes(LEFT, RIGHT))
    image, labels = synthesize(shapes(LEFT, RIGHT, size=size))
    assert tuple(image.shape) == tuple(labels.shape) == size
    zoom = np.array(size) / 64
    for label in (1, 2):
        expected = (np.array(ndimage.center_of_mass((native_labels == label).numpy())) + 0.5) * zoom - 0.5
        np.testing.assert_allclose(ndimage.center_of_mass((labels == label).numpy()), expected, atol=0.6)
        inside = torch.from_numpy(ndimage.binary_erosion((labels == label).numpy(), iterations=3))
        assert image[inside].mean().item() == pytest.approx(
            native_image[native_labels == label].mean().item(), abs=0.02
        )


def test_shrinking_averages_noise_instead_of_picking_pixels() -> None:
    noise = (NoiseParams("gaussian", 0.2, 1.0, 0),)
    large, _ = synthesize(shapes(LEFT, native=(256, 256), size=(256, 256), noises=noise))
    small, labels = synthesize(shapes(LEFT, native=(256, 256), size=(64, 64), noises=noise))
    inside = torch.from_numpy(ndimage.binary_erosion((labels == 1).numpy(), iterations=2))
    whole = inside.repeat_interleave(4, 0).repeat_interleave(4, 1)
    assert small[inside].std() < 0.5 * large[whole].std()


def test_boundary_samples_can_be_volumes() -> None:
    label_map = LabelMapParams((20, 24, 16), 6, (0.25,), (0.25,), 0.05, 16, seed=0)
    image, labels = synthesize(boundary((24, 24, 24), label_map))
    assert tuple(image.shape) == tuple(labels.shape) == (24, 24, 24)
    assert labels.max() >= 2


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    structure = BoundaryParams(LabelMapParams((256, 256), 10, (0.125,), (0.125,), 0.05, 64, seed=0), (2,) * 10)
    before = torch.get_num_threads()
    for seed in range(6):
        canvas = CanvasParams(0.3, 0.5, 0.05, (0.0, 1.0), 0.1, seed)
        appearance = AppearanceParams(canvas, (TextureParams("perlin", 30.0, (0.05, 0.1), seed),), 1.5, ())
        results = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(synthesize(SampleParams((200, 200), structure, appearance)))
        torch.set_num_threads(before)
        for image, labels in results[1:]:
            assert torch.equal(image, results[0][0])
            assert torch.equal(labels, results[0][1])

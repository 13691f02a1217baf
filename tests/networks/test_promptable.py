# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The interface: shapes, choice among masks, freezing, gradients, errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from monai.data import MetaTensor, decollate_batch
from torch.nn import functional as F

from monai_synthfm.networks import ImageEmbedding, MobileSam, Promptable, Sam, Sam2, Zoom, prepare
from monai_synthfm.prompts.prompts import Prompts

from .upstream_sam2 import SMALL

CLICK = Prompts(points=torch.tensor([[[[20.0, 30.0]]]]), point_labels=torch.tensor([[[1]]]))


@pytest.fixture(params=["sam", "mobile_sam"])
def net(request: pytest.FixtureRequest, tiny_sam: Sam) -> Promptable:
    torch.manual_seed(0)
    return tiny_sam if request.param == "sam" else MobileSam(image_size=64)


@pytest.mark.parametrize("preprocessing", ["sam", "medsam"])
@pytest.mark.parametrize("shape", [(1, 1, 30, 90), (2, 3, 64, 64), (1, 3, 200, 20)])
def test_output_has_one_mask_per_object_in_the_size_of_the_input(shape: tuple[int, ...], preprocessing: str) -> None:
    net = MobileSam(image_size=64, preprocessing=preprocessing)
    points = torch.full((shape[0], 3, 1, 2), 10.0)
    out = net(torch.rand(shape), points=points, point_labels=torch.ones(shape[0], 3, 1, dtype=torch.int64))
    assert out.shape == (shape[0], 3, *shape[2:])
    assert out.dtype == torch.float32


def test_double_precision_images_are_taken(tiny_sam: Sam) -> None:
    image = torch.rand(1, 1, 40, 50)
    torch.testing.assert_close(tiny_sam(image.double()), tiny_sam(image))


def test_metatensors_are_taken_and_the_images_metadata_is_handed_on(net: Promptable) -> None:
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    plain = torch.rand(2, 1, 40, 50)
    image = MetaTensor(plain, affine=affine.repeat(2, 1, 1))
    image.is_batch = True
    points, labels = torch.full((2, 1, 2, 2), 9.0), torch.tensor([1, -1]).expand(2, 1, 2)
    net.eval()
    out = net(image, points=MetaTensor(points), point_labels=MetaTensor(labels))
    assert isinstance(out, MetaTensor)
    assert len(decollate_batch(out)) == 2
    torch.testing.assert_close(out.affine, image.affine)
    torch.testing.assert_close(out.as_tensor(), net(plain, points=points, point_labels=labels))
    embedding = net.encode(image)
    batch = Prompts.from_mapping({"points": MetaTensor(points[:, 0]), "point_labels": labels[:, 0]})
    assert net.decode(embedding.to("cpu"), Prompts(batch.points[:, None], batch.point_labels[:, None])).shape[:2] == (
        2,
        1,
    )


def test_single_click_takes_alternatives_only_for_objects_with_one_click(tiny_sam: Sam) -> None:
    embedding = tiny_sam.encode(torch.rand(1, 1, 64, 64))
    points = torch.tensor([[[10.0, 10.0], [50.0, 50.0]]]).expand(1, 3, 2, 2)
    labels = torch.tensor([[[1, -1], [1, 0], [1, -1]]])
    boxes = torch.tensor([[[torch.nan] * 4, [torch.nan] * 4, [5.0, 5.0, 30.0, 30.0]]])
    prompts = Prompts(points, labels, boxes)
    single, always, never = (tiny_sam.decode(embedding, prompts, kind) for kind in ("single_click", "always", "never"))
    assert torch.equal(single[:, :1], always[:, :1])
    assert torch.equal(single[:, 1:], never[:, 1:])
    assert not torch.equal(always, never)


def test_a_mask_prompt_is_not_a_single_click(tiny_sam: Sam) -> None:
    embedding = tiny_sam.encode(torch.rand(1, 1, 64, 64))
    prompts = Prompts(CLICK.points, CLICK.point_labels, masks=torch.rand(1, 1, 1, 16, 16))
    assert torch.equal(
        tiny_sam.decode(embedding, prompts, "single_click"), tiny_sam.decode(embedding, prompts, "never")
    )


def test_multimask_of_the_constructor_is_the_default_of_decode() -> None:
    net = MobileSam(image_size=64, multimask="always").eval()
    embedding = net.encode(torch.rand(1, 1, 64, 64))
    assert torch.equal(net.decode(embedding, CLICK), net.decode(embedding, CLICK, "always"))


@pytest.mark.parametrize(
    "network",
    [
        lambda: MobileSam(image_size=64, preprocessing="contrast"),
        lambda: MobileSam(image_size=64, preprocessing="medsam"),
        lambda: Sam2(SMALL["2.1"], image_size=64, preprocessing="contrast"),
    ],
    ids=["contrast", "medsam", "sam2"],
)
@torch.no_grad()
def test_padding_of_a_batch_is_not_seen(network: Callable[[], Promptable]) -> None:
    net = network().eval()
    sizes = [(40, 64), (64, 30), (40, 64)]
    images = [torch.rand(1, 1, *size) for size in sizes]
    padded = torch.cat([F.pad(image, (0, 64 - image.shape[3], 0, 64 - image.shape[2])) for image in images])
    points, labels = 25 * torch.rand(3, 2, 1, 2), torch.ones(3, 2, 1)
    found = net(padded, points, labels, sizes=torch.tensor(sizes))
    assert found.shape == (3, 2, 64, 64)
    for k, (height, width) in enumerate(sizes):
        alone = net(images[k], points[k : k + 1], labels[k : k + 1])[0]
        torch.testing.assert_close(found[k, :, :height, :width], alone, atol=1e-4, rtol=0)
        assert (found[k, :, height:] == -10).all()
        assert (found[k, :, :, width:] == -10).all()
    assert not torch.allclose(net(padded, points, labels)[0, :, :40], found[0, :, :40], atol=1e-2)
    whole = net(padded[:, :, :40], sizes=torch.tensor([[40, 64]] * 3))
    torch.testing.assert_close(whole, net(padded[:, :, :40]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("sizes", [[[40, 65]], [[0, 64]], [[40, 64]] * 2, [40, 64]])
def test_sizes_that_no_padding_has_are_refused(net: Promptable, sizes: list[list[int]]) -> None:
    message = r"sizes must be \[B, 2\] = \[1, 2\], each from 1 to the 64 x 64 pixels"
    with pytest.raises(ValueError, match=message):
        net(torch.rand(1, 1, 64, 64), sizes=torch.tensor(sizes))


def test_frozen_parts_have_no_gradient_and_stay_in_evaluation_mode(net: Promptable) -> None:
    net.freeze("image_encoder", "mask_decoder.iou_prediction_head")
    net.train()
    assert not net.image_encoder.training
    assert not any(module.training for module in net.image_encoder.modules())
    assert not net.mask_decoder.iou_prediction_head.training
    assert net.mask_decoder.training
    assert net.prompt_encoder.training
    assert not any(parameter.requires_grad for parameter in net.image_encoder.parameters())
    assert not net.encode(torch.rand(1, 1, 32, 32)).features.requires_grad


def test_gradient_reaches_the_decoder_alone_when_both_encoders_are_frozen(net: Promptable) -> None:
    net.freeze("image_encoder", "prompt_encoder")
    net(torch.rand(1, 1, 64, 64)).square().mean().backward()
    reached = {name.partition(".")[0] for name, p in net.named_parameters() if p.grad is not None}
    assert reached == {"mask_decoder"}
    assert net.mask_decoder.mask_tokens.weight.grad.abs().sum() > 0


def test_gradient_reaches_the_image_encoder_when_it_is_trained(net: Promptable) -> None:
    net.train()
    net(torch.rand(1, 1, 64, 64)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in net.image_encoder.parameters())


def test_every_token_table_is_in_the_graph_whatever_is_prompted(tiny_sam: Sam) -> None:
    tiny_sam(torch.rand(1, 1, 64, 64), boxes=torch.tensor([[[3.0, 3.0, 30.0, 30.0]]])).mean().backward()
    encoder = tiny_sam.prompt_encoder
    tables = [encoder.not_a_point_embed, *encoder.point_embeddings]
    assert all(table.weight.grad is not None for table in tables)
    assert [bool(table.weight.grad.any()) for table in tables] == [False, False, False, True, True]


def test_embedding_serves_many_prompts(net: Promptable) -> None:
    net.eval()
    image = torch.rand(1, 1, 40, 56)
    embedding = net.encode(image)
    assert isinstance(embedding, ImageEmbedding)
    out = net.postprocess(net.decode(embedding, CLICK), embedding)
    torch.testing.assert_close(out, net(image, CLICK.points, CLICK.point_labels))


def test_bfloat16_autocast_stays_close_to_float32(net: Promptable) -> None:
    net.eval()
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        exact = net(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = net(image)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert (rounded - exact).abs().max() < 0.1 * exact.abs().max()


ERRORS = [
    ({"image": torch.zeros(1, 2, 8, 8)}, "1 or 3"),
    ({"image": torch.zeros(1, 1, 8, 8, dtype=torch.uint8)}, "floating point"),
    ({"image": torch.zeros(1, 1, 8, 8, 4)}, r"\[B, 1 or 3, H, W\].*got shape \(1, 1, 8, 8, 4\)"),
    ({"image": torch.zeros(1, 8, 8)}, r"\[B, 1 or 3, H, W\].*got shape \(1, 8, 8\)"),
    ({"image": torch.zeros(8, 8)}, r"\[B, 1 or 3, H, W\].*got shape \(8, 8\)"),
    ({"image": torch.zeros(1, 1, 0, 8)}, r"got shape \(1, 1, 0, 8\)"),
    ({"image": torch.linspace(0, 255, 64).view(1, 1, 8, 8)}, r"in \[0, 1\], got values from 0 to 255"),
    ({"image": torch.linspace(-2, 1, 64).view(1, 1, 8, 8)}, r"in \[0, 1\], got values from -2 to 1"),
    ({"image": torch.full((1, 1, 8, 8), torch.nan)}, "64 of 64 values that are NaN or infinite"),
    ({"image": torch.tensor([0.5] * 63 + [torch.inf]).view(1, 1, 8, 8)}, "1 of 64 values that are NaN or infinite"),
    ({"points": torch.zeros(1, 1, 1, 3), "point_labels": torch.ones(1, 1, 1)}, r"\(x, y\)"),
    ({"points": torch.zeros(2, 1, 1, 2), "point_labels": torch.ones(2, 1, 1)}, "1 images but the prompts describe 2"),
    ({"points": torch.zeros(1, 0, 1, 2), "point_labels": torch.ones(1, 0, 1)}, "nothing is prompted"),
    ({"masks": torch.zeros(1, 1, 1, 8, 8)}, r"\(16, 16\).*\(8, 8\)"),
]


@pytest.mark.parametrize(("arguments", "message"), ERRORS)
def test_wrong_input_is_named(tiny_sam: Sam, arguments: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_sam(**{"image": torch.zeros(1, 1, 8, 8), **arguments})


@pytest.mark.parametrize(
    "image", [image for (arguments, _) in ERRORS for name, image in arguments.items() if name == "image"]
)
def test_every_network_refuses_to_encode_what_is_no_image(image: torch.Tensor, tiny_sam: Sam) -> None:
    for network in (tiny_sam, MobileSam(image_size=64), Sam2(SMALL["2.1"], image_size=64), Zoom(tiny_sam)):
        with pytest.raises(ValueError, match=r"image must be \[B, 1 or 3, H, W\], floating point in \[0, 1\], got"):
            network.encode(image)


def test_values_beyond_the_range_by_less_than_a_grey_level_are_rounding(tiny_sam: Sam) -> None:
    image = torch.tensor([-0.003, 0.5, 1.003]).repeat(1, 1, 9, 3)
    assert tiny_sam(image).isfinite().all()


@pytest.mark.parametrize(
    "change", [lambda net: net.double(), lambda net: net.half(), lambda net: net.to(torch.bfloat16)]
)
def test_another_precision_of_the_weights_is_refused_with_what_to_do_and_changes_nothing(
    net: Promptable, change
) -> None:
    for network in (net, Zoom(net), torch.nn.Sequential(net), Sam2(SMALL["2.1"], image_size=64)):
        with pytest.raises(TypeError, match=r"weights of \w+ stay float32, got torch\.\w+: .* torch\.autocast"):
            change(network)
        assert {value.dtype for value in network.state_dict().values() if value.is_floating_point()} == {torch.float32}
        network.to("cpu").float().requires_grad_(True)


def test_wrong_constructor_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="multimask must be one of"):
        MobileSam(image_size=64, multimask="sometimes")
    with pytest.raises(ValueError, match="cannot freeze 'encoder'"):
        prepare(MobileSam(image_size=64), frozen=["encoder"])
    with pytest.raises(ValueError, match="multiple of 16"):
        MobileSam(image_size=100)
    with pytest.raises(ValueError, match="preprocessing must be one of"):
        MobileSam(image_size=64, preprocessing="none")
    with pytest.raises(ValueError, match="objects_per_pass"):
        MobileSam(image_size=64, objects_per_pass=0)
    with pytest.raises(ValueError, match="model must be one of"):
        Sam("vit_s")

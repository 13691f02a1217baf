# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Random prompts of label maps: which objects, which prompts, what shapes, and what when there is too little."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import DataLoader, Dataset, MetaTensor, set_track_meta
from monai.losses import DiceLoss
from monai.transforms import Compose, RandGaussianNoise, RandRotate90d

from monai_synthfm.prompts import PAPER_CLICK_PAIRS, Prompts, clicks_fit
from monai_synthfm.transforms.prompts import RandPrompts, RandPromptsD, RandPromptsd, RandPromptsDict

CLICKS, BOX, BOTH = ({kind: 1.0} for kind in ("clicks", "box", "both"))


def label_map(*sizes: int, shape: tuple[int, int] = (64, 64)) -> torch.Tensor:
    """Squares of the given sides side by side, numbered 1, 3, 5, ..."""
    label = torch.zeros(1, *shape, dtype=torch.int32)
    left = 1
    for index, size in enumerate(sizes):
        label[0, 2 : 2 + size, left : left + size] = 2 * index + 1
        left += size + 2
    return label


def which(label: torch.Tensor, target: torch.Tensor) -> list[int]:
    """The number of the instance that each target is, checking that it is all of it."""
    numbers = []
    for mask in target.bool():
        (number,) = label[0][mask].unique().tolist()
        assert torch.equal(mask, label[0] == number)
        numbers.append(number)
    return numbers


@settings(max_examples=100)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    num_objects=st.integers(1, 5),
    weights=st.sampled_from([CLICKS, BOX, BOTH, {"clicks": 1, "box": 1, "both": 1}]),
    pairs=st.sampled_from([None, PAPER_CLICK_PAIRS, [(2, 4)]]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_object_is_an_instance_with_prompts_that_fit_it(
    sizes: list[int],
    num_objects: int,
    weights: dict[str, float],
    pairs: list[tuple[int, int]] | None,
    seed: int,
) -> None:
    label = label_map(*sizes)
    transform = RandPrompts(num_objects, click_pairs=pairs, prompt_weights=weights, area_range=(0, 1))
    out = transform.set_random_state(seed)(label)
    numbers = which(label, out["target"])
    assert max(Counter(numbers).values()) <= -(-num_objects // len(sizes))
    width = 5 if pairs is None else max(map(sum, pairs))
    assert out["points"].shape == (num_objects, width, 2)
    prompts = Prompts.from_mapping(out)
    assert prompts.num_objects == num_objects
    for mask, points, labels, box in zip(*out.values(), strict=True):
        assert clicks_fit(mask, points.numpy(), labels.numpy()).all()
        has_clicks, has_box = bool((labels == 1).any()), bool(torch.isfinite(box).all())
        assert (has_clicks, has_box) in {
            "clicks": [(True, False)],
            "box": [(False, True)],
            "both": [(True, True)],
        }.get("".join(weights) if len(weights) == 1 else "", [(True, False), (False, True), (True, True)])
        if has_box:
            x0, y0, x1, y1 = box.tolist()
            rows, cols = np.nonzero(mask.numpy())
            assert ((x0 <= cols) & (cols <= x1) & (y0 <= rows) & (rows <= y1)).any()


def test_types_and_meta_of_the_result_follow_the_contract() -> None:
    affine = torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0], dtype=torch.float64))
    out = RandPrompts(2)(MetaTensor(label_map(8, 8), affine=affine))
    assert isinstance(out["target"], MetaTensor)
    assert torch.equal(out["target"].affine, affine)
    assert {key: value.dtype for key, value in out.items()} == {
        "target": torch.uint8,
        "points": torch.float32,
        "point_labels": torch.int64,
        "boxes": torch.float32,
    }


@pytest.mark.parametrize("convert", [lambda x: x, lambda x: x.numpy(), MetaTensor])
@pytest.mark.parametrize("tracked", [True, False])
def test_targets_are_of_the_type_that_monai_gives(convert: Any, tracked: bool) -> None:
    label = convert(label_map(9, 6))
    set_track_meta(tracked)
    try:
        expected = type(RandGaussianNoise(prob=1.0)(label))
        found = type(RandPrompts()(label)["target"])
    finally:
        set_track_meta(True)
    assert found is expected is (MetaTensor if tracked else torch.Tensor)


@pytest.mark.parametrize("convert", [lambda x: x.numpy(), lambda x: x.to(torch.uint8), lambda x: x.float(), MetaTensor])
def test_any_array_type_of_the_same_labels_gives_the_same_prompts(convert: type) -> None:
    label = label_map(9, 6, 12)
    expected = RandPrompts(3).set_random_state(1)(label)
    out = RandPrompts(3).set_random_state(1)(convert(label))
    for key, value in expected.items():
        assert torch.equal(torch.as_tensor(out[key]).nan_to_num(-1), value.nan_to_num(-1))


def test_equal_seeds_give_equal_prompts_and_later_calls_differ() -> None:
    label = label_map(9, 6, 12)
    one, two = (RandPrompts(3, prompt_weights=BOTH).set_random_state(7) for _ in range(2))
    first, again, later = one(label), two(label), one(label)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["boxes"], later["boxes"])
    kept = one(label, randomize=False)
    assert all(torch.equal(later[key], kept[key]) for key in first)


def test_prompts_cannot_be_used_again_before_they_were_drawn() -> None:
    with pytest.raises(RuntimeError, match="randomize=True first"):
        RandPrompts()(label_map(9), randomize=False)


def test_instances_are_drawn_uniformly_whatever_their_size() -> None:
    label = label_map(4, 8, 16, 20)
    transform = RandPrompts(1, area_range=(0, 1)).set_random_state(0)
    counts = Counter(which(label, transform(label)["target"])[0] for _ in range(800))
    assert set(counts) == {1, 3, 5, 7}
    assert all(abs(count - 200) < 5 * (800 * 0.25 * 0.75) ** 0.5 for count in counts.values())


def test_too_few_instances_are_used_again_with_fresh_clicks() -> None:
    out = RandPrompts(4, click_pairs=[(3, 0)]).set_random_state(0)(label_map(20))
    assert out["target"].sum(dim=(1, 2)).tolist() == [400] * 4
    assert len({tuple(points.flatten().tolist()) for points in out["points"]}) == 4


def test_only_instances_within_the_area_range_are_taken() -> None:
    label = label_map(2, 8, 20)
    transform = RandPrompts(3, area_range=(10 / 4096, 100 / 4096)).set_random_state(0)
    assert which(label, transform(label)["target"]) == [3, 3, 3]


@pytest.mark.parametrize(("area_range", "expected"), [((0.3, 0.9), 5), ((1e-6, 2e-6), 1), ((50 / 4096, 55 / 4096), 3)])
def test_with_no_instance_in_range_the_one_nearest_to_it_is_taken(
    area_range: tuple[float, float], expected: int
) -> None:
    label = label_map(2, 8, 20)
    assert which(label, RandPrompts(2, area_range=area_range)(label)["target"]) == [expected] * 2


def test_foreground_is_one_object_that_is_clicked_in_all_its_parts() -> None:
    label = label_map(10, 12, 14)
    out = RandPrompts(2, target="foreground", click_pairs=[(20, 2)]).set_random_state(0)(label)
    for mask, points, labels in zip(out["target"], out["points"], out["point_labels"], strict=True):
        assert torch.equal(mask.bool(), label[0] > 0)
        x, y = points[labels == 1].long().T
        assert set(label[0][y, x].tolist()) == {1, 3, 5}


def test_click_counts_fill_both_ranges_evenly() -> None:
    transform = RandPrompts(50, num_positive=(2, 3), num_negative=(1, 2)).set_random_state(0)
    labels = torch.cat([transform(label_map(20))["point_labels"] for _ in range(8)])
    counts = Counter(zip((labels == 1).sum(1).tolist(), (labels == 0).sum(1).tolist(), strict=True))
    assert set(counts) == {(2, 1), (2, 2), (3, 1), (3, 2)}
    assert min(counts.values()) > 60


def test_kinds_come_as_often_as_their_weights_say() -> None:
    transform = RandPrompts(100, prompt_weights={"clicks": 6, "box": 2, "both": 2}).set_random_state(0)
    outs = [transform(label_map(20)) for _ in range(4)]
    clicked = torch.cat([(out["point_labels"] >= 0).any(1) for out in outs])
    boxed = torch.cat([torch.isfinite(out["boxes"]).all(1) for out in outs])
    assert (clicked & ~boxed).float().mean().item() == pytest.approx(0.6, abs=0.1)
    assert (~clicked & boxed).float().mean().item() == pytest.approx(0.2, abs=0.08)
    assert (clicked | boxed).all()


def test_options_reach_the_simulators() -> None:
    label = label_map(30)
    plain = {"click_pairs": [(1, 0)], "prompt_weights": BOTH}
    exact = RandPrompts(20, **plain, box_options={"fraction": 0.0})(label)
    assert (exact["boxes"] == torch.tensor([1.0, 2.0, 30.0, 31.0])).all()
    assert (exact["points"] == exact["points"][0]).all()
    moved = RandPrompts(20, **plain, click_options={"jitter": 3.0})(label)
    assert not (moved["points"] == exact["points"][0]).all()


def test_a_label_map_without_objects_is_an_error_unless_allowed() -> None:
    empty = torch.zeros(1, 16, 24)
    with pytest.raises(ValueError, match="no object to prompt"):
        RandPrompts()(empty)
    out = RandPrompts(3, allow_empty=True).set_random_state(0)(empty)
    assert out["target"].shape == (3, 16, 24)
    assert out["target"].sum() == 0
    assert out["point_labels"][:, 0].tolist() == [0, 0, 0]
    assert (out["point_labels"][:, 1:] == -1).all()
    assert (out["points"][:, 0] < torch.tensor([24, 16])).all()
    assert torch.isnan(out["boxes"]).all()


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (torch.ones(8, 8), r"\[1, H, W\], got shape \(8, 8\)"),
        (torch.ones(2, 8, 8), r"\[1, H, W\], got shape \(2, 8, 8\)"),
        (torch.full((1, 8, 8), 0.5), "whole numbers"),
        (-torch.ones(1, 8, 8), "whole numbers"),
        (torch.zeros(1, 0, 8), "no pixel"),
    ],
)
def test_what_is_no_label_map_is_refused(label: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandPrompts()(label)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_objects": 0}, "num_objects must be at least 1"),
        ({"target": "both"}, "target must be"),
        ({"click_target": "pixel"}, "click_target must be"),
        ({"area_range": (0.5, 0.1)}, "area_range must be"),
        ({"num_positive": (3, 1)}, "num_positive must be"),
        ({"num_positive": (0, 1)}, "num_positive must be at least 1"),
        ({"click_pairs": []}, "click_pairs must hold"),
        ({"prompt_weights": {"clicks": 0.0}}, "prompt_weights must"),
        ({"prompt_weights": {"scribbles": 1.0}}, "prompt_weights must"),
        ({"prompt_weights": {"clicks": 2.0, "box": -1.0}}, "prompt_weights must"),
        ({"click_options": {"snap": "here"}}, "snap must be"),
        ({"box_options": {"fraction": 0.9}}, "fraction must be"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandPrompts(**arguments)


def test_the_dictionary_twin_gives_what_the_array_transform_gives() -> None:
    assert RandPromptsD is RandPromptsDict is RandPromptsd
    label = label_map(9, 12)
    item = RandPromptsd(keys="label", num_objects=2).set_random_state(3)({"label": label, "name": "a"})
    expected = RandPrompts(num_objects=2).set_random_state(3)
    for key, value in expected(label).items():
        assert torch.equal(item[key].nan_to_num(-1), value.nan_to_num(-1))
    assert item["name"] == "a"
    assert item["label"] is label


def test_a_missing_key_is_an_error_unless_allowed() -> None:
    with pytest.raises(KeyError, match="label"):
        RandPromptsd(keys="label")({})
    assert RandPromptsd(keys="label", allow_missing_keys=True)({"a": 1}) == {"a": 1}
    with pytest.raises(ValueError, match="one instance label map"):
        RandPromptsd(keys=["label", "other"])


def test_batches_collate_beside_other_transforms_and_feed_monai_losses() -> None:
    items = [{"label": label_map(9, 12, 5 + index)} for index in range(4)]
    transforms = Compose([RandRotate90d(keys="label", prob=0.5), RandPromptsd(keys="label", num_objects=3)])
    transforms.set_random_state(0)
    for batch in DataLoader(Dataset(items, transforms), batch_size=2, num_workers=0):
        prompts = Prompts.from_mapping(batch)
        assert (prompts.is_batched, prompts.num_objects) == (True, 3)
        assert batch["target"].shape == (2, 3, 64, 64)
        perfect = torch.where(batch["target"].bool(), 50.0, -50.0)
        assert DiceLoss(sigmoid=True)(perfect, batch["target"]).item() < 0.01


def test_clicks_can_ask_for_the_piece_they_lie_on_and_boxes_ask_for_all() -> None:
    label = (label_map(10, 14) > 0).int()
    largest = label_map(10, 14)[0] == 3
    for kind, expected in ((CLICKS, largest), (BOX, label[0] > 0), (BOTH, label[0] > 0)):
        out = RandPrompts(2, click_target="piece", prompt_weights=kind).set_random_state(0)(label)
        assert all(torch.equal(mask.bool(), expected) for mask in out["target"])
        whole = RandPrompts(2, prompt_weights=kind).set_random_state(0)(label)
        assert all(torch.equal(mask.bool(), label[0] > 0) for mask in whole["target"])
        assert torch.equal(out["points"], whole["points"])


def test_clicks_ask_for_their_piece_of_another_map_too() -> None:
    label = (label_map(10, 14) > 0).int()
    transform = RandPrompts(1, click_target="piece").set_random_state(0)
    x, y = transform(label)["points"][0, 0].long().tolist()
    grown = label.clone()
    grown[0, 30:60, :] = 1  # a larger piece, without the click
    again = transform(grown, randomize=False)["target"][0].bool()
    assert again[y, x]
    assert torch.equal(again, label_map(10, 14)[0] == 3)
    assert not transform(torch.zeros_like(label), randomize=False)["target"].any()


def test_clicks_in_all_pieces_cannot_ask_for_one() -> None:
    with pytest.raises(ValueError, match="click_target 'piece' needs clicks on one piece"):
        RandPrompts(target="foreground", click_target="piece")

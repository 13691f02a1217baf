# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Dictionary twins: every generator in a Compose, MONAI's three names, signatures, probabilities, types."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, set_track_meta
from monai.transforms import Compose, MapTransform, RandFlipd, RandGaussianNoise, RandomizableTransform, Transform

from monai_synthfm import transforms
from monai_synthfm.transforms import (
    RandAcquisition,
    RandAcquisitiond,
    RandBezierShapesd,
    RandPoissonNoised,
    RandPromptsd,
    RandSynthFM,
    RandSynthFMd,
    RandSynthFMIntensity,
    RandSynthFMIntensityd,
    RandSynthMorphLabels,
)

SIZES: dict[str, dict[str, Any]] = {
    "RandAcquisition": {},
    "RandAnatomy": {"spatial_size": (24, 32)},
    "RandBezierShapes": {"spatial_size": (24, 32)},
    "RandBoundaryMask": {"spatial_size": (24, 32)},
    "RandSynthFM": {"spatial_size": (24, 32), "native_size": None},
    "RandSynthFM3D": {"spatial_size": (24, 32, 4)},
    "RandSynthFMIntensity": {},
    "RandSynthMorphLabels": {"spatial_size": (24, 32)},
    "RandVolumeAnatomy": {"spatial_size": (24, 32, 4)},
    "RandVolumeStructure": {"spatial_size": (24, 32, 4)},
}
RENDERERS = ("RandAcquisition", "RandSynthFMIntensity")
PAIRS = ("RandSynthFM", "RandSynthFM3D")
ARRAYS = [name for name in transforms.__all__ if f"{name}d" in transforms.__all__]
LABELS = (torch.arange(24)[:, None] // 6).expand(24, 32)[None].clone()


@pytest.fixture(autouse=True)
def _track_meta() -> Iterator[None]:
    yield
    set_track_meta(True)


def made(name: str, **arguments: Any) -> Any:
    return getattr(transforms, name)(**SIZES[name.removesuffix("d")], **arguments)


def item_of(name: str) -> dict[str, Any]:
    return {"image": LABELS.float(), "label": LABELS} if name in RENDERERS else {}


def same(first: Any, second: Any) -> bool:
    return all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", SIZES)
def test_an_array_generator_stands_in_a_compose(name: str) -> None:
    given: Any = LABELS.float() if name in RENDERERS else {}
    pipeline = Compose([made(name)]).set_random_state(seed=2)
    found = pipeline(given)
    again = Compose([made(name)]).set_random_state(seed=2)(given)
    pair = name in PAIRS
    assert len(found) == (2 if pair else 1)
    assert same(found if pair else (found,), again if pair else (again,))


@pytest.mark.parametrize("name", SIZES)
def test_a_dictionary_generator_stands_in_a_compose_and_makes_what_the_array_one_makes(name: str) -> None:
    key = "image" if name in ("RandAcquisition", *PAIRS) else "label"
    keys = ("image", "label") if name in PAIRS else key
    twin = getattr(transforms, f"{name}d")(keys, **SIZES[name])
    assert isinstance(twin, MapTransform)
    assert isinstance(twin, RandomizableTransform)
    assert (twin.prob, twin.allow_missing_keys) == (1.0, False)
    assert twin.keys == ((keys,) if isinstance(keys, str) else keys)
    result = Compose([twin, RandFlipd(keys, prob=0.0)])(item_of(name))
    made_keys = {"image", "label"} if name in (*PAIRS, *RENDERERS) else {"label"}
    assert set(result) == made_keys
    twin.set_random_state(seed=4)
    found = twin(item_of(name))
    array = made(name).set_random_state(seed=4)
    expected = array(item_of(name)[key]) if name in RENDERERS else array()
    if name in PAIRS:
        assert same((found["image"], found["label"]), expected)
    else:
        assert same((found["image" if name in RENDERERS else "label"],), (expected,))


@pytest.mark.parametrize("name", SIZES)
def test_batches_of_a_loader_differ(name: str) -> None:
    dataset = Dataset(
        [item_of(name)] * 4, Compose([made(f"{name}d", **({"keys": "image"} if name == "RandAcquisition" else {}))])
    )
    key = "image" if name in (*PAIRS, *RENDERERS) else "label"
    batches = [batch[key] for batch in DataLoader(dataset, batch_size=2, num_workers=0)]
    assert len({tuple(sample.flatten().tolist()) for sample in torch.cat(batches)}) == 4


@pytest.mark.parametrize("name", ARRAYS)
def test_every_transform_is_public_under_monais_names_and_is_one(name: str) -> None:
    twin = getattr(transforms, f"{name}d")
    assert twin is getattr(transforms, f"{name}D") is getattr(transforms, f"{name}Dict")
    assert {f"{name}D", f"{name}Dict"} <= set(transforms.__all__)
    assert issubclass(getattr(transforms, name), Transform)
    assert issubclass(twin, MapTransform)
    assert "keys" in inspect.getdoc(twin)  # type: ignore[operator]


def test_nothing_but_transforms_is_public() -> None:
    assert all(issubclass(getattr(transforms, name), Transform) for name in transforms.__all__)
    assert len(ARRAYS) * 4 == len(transforms.__all__)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_signature_names_the_arguments_of_the_array_transform_with_their_defaults(name: str) -> None:
    twin = inspect.signature(getattr(transforms, f"{name}d")).parameters
    options = getattr(transforms, "RandPrompts" if name == "RandClipPrompts" else name)
    assert next(iter(twin)) == "keys"
    assert "allow_missing_keys" in twin
    assert not [one for one in twin.values() if one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    for parameter in inspect.signature(options).parameters.values():
        assert twin[parameter.name].default == parameter.default


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(TypeError, match="modul"):
        RandSynthFMd(spatial_size=(24, 32), modul="shape")


@pytest.mark.parametrize("twin", [RandAcquisitiond, RandSynthFMIntensityd, RandPromptsd, RandPoissonNoised])
def test_missing_keys_are_named_unless_they_are_allowed(twin: Callable[..., Any]) -> None:
    with pytest.raises(KeyError, match="other"):
        twin("other")({"a": 1})
    assert twin("other", allow_missing_keys=True)({"a": 1}) == {"a": 1}


@pytest.mark.parametrize("name", SIZES)
def test_prob_is_the_share_of_items_that_change(name: str) -> None:
    keys = {"keys": "image"} if name == "RandAcquisition" else {}
    twin = made(f"{name}d", prob=0.5, **keys).set_random_state(seed=0)
    given = {"image": LABELS.float(), "label": LABELS.float()} if name in RENDERERS else {"image": 0, "label": 0}
    changed = 0
    for _ in range(40):
        result = twin(given)
        changed += any(
            torch.as_tensor(result[key]).shape != torch.as_tensor(given[key]).shape
            or not torch.equal(torch.as_tensor(result[key]), torch.as_tensor(given[key]))
            for key in given
        )
    assert 8 <= changed <= 32  # outside with a probability below 1e-4


def test_a_probability_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"prob must be a probability in \[0, 1\], got 1.5"):
        RandBezierShapesd(spatial_size=(8, 8), prob=1.5)


def test_a_scanner_is_the_same_for_all_keys() -> None:
    image = torch.rand(1, 24, 32)
    result = RandAcquisitiond(["a", "b"]).set_random_state(seed=1)({"a": image, "b": image})
    assert torch.equal(result["a"], result["b"])
    assert not torch.equal(result["a"], image)


def test_one_name_is_needed_for_a_label_map() -> None:
    with pytest.raises(ValueError, match=r"keys must name the label map to generate, got \('a', 'b'\)"):
        RandBezierShapesd(("a", "b"), spatial_size=(8, 8))


@pytest.mark.parametrize("convert", [lambda x: x, lambda x: x.numpy(), MetaTensor], ids=["torch", "numpy", "meta"])
@pytest.mark.parametrize("tracked", [True, False])
@pytest.mark.parametrize("prob", [0.0, 1.0])
def test_results_are_of_the_type_that_monai_gives(convert: Callable[..., Any], tracked: bool, prob: float) -> None:
    given = convert(LABELS.float())
    set_track_meta(tracked)
    expected = type(RandGaussianNoise(prob=prob)(given))
    assert expected is (MetaTensor if tracked else torch.Tensor)
    assert type(RandAcquisitiond("image", prob=prob)({"image": given})["image"]) is expected
    assert type(RandSynthFMIntensity()(given)) is expected
    assert type(RandAcquisition()(given)) is expected


@pytest.mark.parametrize("name", [name for name in SIZES if name not in RENDERERS])
def test_without_tracking_generators_give_plain_tensors_of_the_same_values(name: str) -> None:
    tracked = made(name).set_random_state(seed=6)()
    set_track_meta(False)
    plain = made(name).set_random_state(seed=6)()
    pairs = zip(tracked, plain, strict=True) if name in PAIRS else [(tracked, plain)]
    for one, other in pairs:
        assert (type(one), type(other)) == (MetaTensor, torch.Tensor)
        assert torch.equal(one.as_tensor(), other)


def test_label_maps_become_images_in_a_compose_of_array_transforms() -> None:
    image = Compose([RandSynthMorphLabels((24, 32)), RandSynthFMIntensity(), RandAcquisition()])({})
    assert image.shape == (1, 24, 32)
    assert 0.0 <= float(image.min()) < float(image.max()) <= 1.0


def test_numpy_and_torch_labels_give_the_same_image() -> None:
    found = [RandSynthFMIntensity().set_random_state(seed=0)(labels) for labels in (LABELS, LABELS.numpy())]
    np.testing.assert_array_equal(*found)


def test_the_input_of_a_generator_changes_nothing() -> None:
    first, second = (RandSynthFM((24, 32)).set_random_state(seed=0)(given)[0] for given in (None, {"image": 1}))
    assert torch.equal(first, second)

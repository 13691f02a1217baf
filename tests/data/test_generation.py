# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Samples on disk: what the files hold, the same bytes for any sharding, and continuing after an interruption."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, run
from monai.data import set_track_meta
from monai.transforms import LoadImage
from PIL import Image

import monai_synthfm.data.generation as generation
from monai_synthfm import __version__
from monai_synthfm.data import SynthFMDataset
from monai_synthfm.data.generation import write_samples
from monai_synthfm.transforms import RandSynthFM, RandSynthFM3D

NUMBER = 5
SIZE = (24, 40)


def make(number: int = NUMBER, seed: int = 0, **arguments: Any) -> SynthFMDataset:
    return SynthFMDataset(number, SIZE, seed, generator=RandSynthFM(SIZE, native_size=(32, 64), **arguments))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_samples(make(), tmp_path_factory.mktemp("whole")).parent


def test_every_sample_has_its_three_files_beside_the_manifest(whole: Path) -> None:
    names = [f"{index:06d}{end}" for index in range(NUMBER) for end in (".json", "_image.png", "_label.png")]
    assert sorted(content(whole)) == sorted([*names, "manifest.json"])


def test_png_files_hold_image_and_instances(whole: Path) -> None:
    for index in range(NUMBER):
        sample = make()[index]
        with (
            Image.open(whole / f"{index:06d}_image.png") as image,
            Image.open(whole / f"{index:06d}_label.png") as label,
        ):
            assert (image.mode, label.mode) == ("L", "I;16")
            assert image.size == label.size == (SIZE[1], SIZE[0])
            np.testing.assert_allclose(np.asarray(image) / 255.0, sample["image"][0].numpy(), atol=0.5 / 255 + 1e-6)
            np.testing.assert_array_equal(np.asarray(label), sample["label"][0].numpy())


def test_nifti_files_hold_image_and_instances(tmp_path: Path) -> None:
    write_samples(make(2), tmp_path, image_format="nifti")
    for index in range(2):
        sample = make()[index]
        image, label = (nib.load(tmp_path / f"{index:06d}_{name}.nii.gz") for name in ("image", "label"))
        assert (image.get_data_dtype(), label.get_data_dtype()) == (np.float32, np.uint16)
        assert image.header.get_xyzt_units()[0] == "mm"
        np.testing.assert_array_equal(image.affine, np.eye(4))
        np.testing.assert_array_equal(np.asarray(image.dataobj), sample["image"][0].numpy().T)
        np.testing.assert_array_equal(np.asarray(label.dataobj), sample["label"][0].numpy().T)


def test_monai_reads_both_formats_alike(whole: Path, tmp_path: Path) -> None:
    write_samples(make(1), tmp_path, image_format="nifti")
    reader = LoadImage(image_only=True, ensure_channel_first=True)
    for name in ("label", "image"):
        png, nifti = reader(whole / f"000000_{name}.png"), reader(tmp_path / f"000000_{name}.nii.gz")
        assert png.shape == nifti.shape == (1, SIZE[1], SIZE[0])
        scale = 255.0 if name == "image" else 1.0
        np.testing.assert_allclose(png.numpy(), nifti.numpy() * scale, atol=0.51)


def test_the_record_replays_its_sample_and_names_its_files(whole: Path) -> None:
    for index in range(NUMBER):
        record = json.loads((whole / f"{index:06d}.json").read_text())
        sample = make()[index]
        image, label = RandSynthFM(SIZE).replay(record["params"])
        assert torch.equal(image.as_tensor(), sample["image"].as_tensor())
        assert torch.equal(label.as_tensor(), sample["label"].as_tensor())
        assert record["index"] == index
        assert record["num_instances"] == len(np.unique(sample["label"][sample["label"] > 0]))
        assert sorted(record["sha256"]) == [f"{index:06d}_image.png", f"{index:06d}_label.png"]
        for name, value in record["sha256"].items():
            assert hashlib.sha256((whole / name).read_bytes()).hexdigest() == value


def test_the_manifest_describes_the_set(whole: Path) -> None:
    manifest = json.loads((whole / "manifest.json").read_text())
    expected = {"number": NUMBER, "spatial_size": list(SIZE), "seed": 0, "epoch": 0, "format": "png"}
    assert expected.items() <= manifest.items()
    assert manifest["package"] == f"monai-synthfm {__version__}"
    assert manifest["generator"]["module"] == "both"
    assert manifest["generator"]["native_size"] == [32, 64]
    assert manifest["generator"]["shapes"]["num_shapes"] == list(make().generator.shapes.num_shapes)
    assert manifest["generator"]["boundary"]["label_map"]["class"] == "RandSynthMorphLabels"


@pytest.mark.parametrize(("shards", "workers"), [(1, 2), (2, 0), (7, 0), (2, 2)])
@pytest.mark.parametrize("image_format", ["png", "nifti"])
def test_shards_and_workers_do_not_change_a_byte(shards: int, workers: int, image_format: str, tmp_path: Path) -> None:
    write_samples(make(), tmp_path / "whole", image_format)
    for shard in range(shards, 0, -1):
        write_samples(make(), tmp_path / "shards", image_format, f"{shard}/{shards}", workers)
    assert content(tmp_path / "shards") == content(tmp_path / "whole")


def test_one_shard_writes_its_own_samples_only(tmp_path: Path) -> None:
    write_samples(make(), tmp_path, shard="2/3")
    assert {path.stem for path in tmp_path.glob("0*.json")} == {"000001", "000004"}


def test_complete_samples_are_skipped_and_the_others_made(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_samples(make(), tmp_path)
    (tmp_path / "000001.json").unlink()
    (tmp_path / "000002_label.png").unlink()
    (tmp_path / "000003_image.png").write_bytes(b"cut short")
    made: list[int] = []
    get = SynthFMDataset.__getitem__
    monkeypatch.setattr(SynthFMDataset, "__getitem__", lambda self, index: made.append(index) or get(self, index))
    write_samples(make(), tmp_path)
    assert made == [1, 2, 3]
    assert content(tmp_path) == content(whole)


def test_an_interrupted_sample_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def fail_at_the_second_label(array: np.ndarray) -> bytes:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return b"content"

    monkeypatch.setitem(generation.FORMATS, "png", (".png", fail_at_the_second_label))
    with pytest.raises(KeyboardInterrupt):
        write_samples(make(), tmp_path)
    assert sorted(content(tmp_path)) == ["000000.json", "000000_image.png", "000000_label.png", "manifest.json"]


@pytest.mark.parametrize(
    ("other", "image_format", "names"),
    [
        (make(seed=1), "png", "seed"),
        (make(number=6), "png", "number"),
        (make(), "nifti", "files, format"),
        (make(module="shape"), "png", "generator"),
    ],
)
def test_a_folder_with_another_set_is_refused_and_left_alone(
    other: SynthFMDataset, image_format: str, names: str, whole: Path
) -> None:
    before = content(whole)
    with pytest.raises(ValueError, match=f"holds another set of samples, its manifest.json differs in {names}:"):
        write_samples(other, whole, image_format)
    assert content(whole) == before


@pytest.mark.parametrize("shard", ["5/4", 0.25])
def test_a_wrong_shard_is_named_and_nothing_written(shard: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='shard must be "i/n"'):
        write_samples(make(), tmp_path / "out", shard=shard)
    assert not (tmp_path / "out").exists()


def test_an_unknown_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="image_format must be one of png, nifti, got 'jpeg'"):
        write_samples(make(), tmp_path, image_format="jpeg")


def test_a_dataset_with_a_transform_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dataset must have no transform"):
        write_samples(SynthFMDataset(1, SIZE, transform=lambda sample: sample), tmp_path)


def test_the_bundle_config_writes_the_same_files(bundle_dir: Path, tmp_path: Path) -> None:
    settings = {"number": 3, "spatial_size": list(SIZE), "seed": 6, "epoch": 2, "module": "boundary"}
    for shard in ("1/2", "2/2"):
        run(
            config_file=str(bundle_dir / "configs" / "generate.yaml"),
            output_dir=str(tmp_path / "bundle"),
            shard=shard,
            native_size="$None",
            **settings,
        )
    dataset = SynthFMDataset(3, SIZE, 6, generator=RandSynthFM(SIZE, module="boundary", native_size=None))
    dataset.set_epoch(2)
    write_samples(dataset, tmp_path / "direct")
    assert content(tmp_path / "bundle") == content(tmp_path / "direct")


def test_the_bundle_config_defaults_to_those_of_the_generator(bundle_dir: Path) -> None:
    config = ConfigParser()
    config.read_config(str(bundle_dir / "configs" / "generate.yaml"))
    config["number"] = 1
    made = config.get_parsed_content("generator")
    assert generation.generator_settings(made) == generation.generator_settings(RandSynthFM((1024, 1024)))


def test_the_description_of_a_generator_of_volumes_holds_those_of_its_parts() -> None:
    described = json.loads(json.dumps(generation.generator_settings(RandSynthFM3D((32, 32, 8), module="all"))))
    assert described["appearance"]["class"] == "RandVolumeAppearance"
    assert described["anatomy"]["class"] == "RandVolumeAnatomy"


class Named(RandSynthFM):
    """A generator of a user, which hands on what it does not know."""

    def __init__(self, spatial_size: tuple[int, int], *, label: str = "mine", **options: Any) -> None:
        super().__init__(spatial_size, **options)
        self.label = label


def test_the_description_of_a_generator_holds_what_it_hands_on() -> None:
    own = generation.generator_settings(Named(SIZE, module="shape"))
    known = generation.generator_settings(RandSynthFM(SIZE, module="shape"))
    assert own == {**known, "class": "Named", "label": "mine"}
    assert own != generation.generator_settings(Named(SIZE, module="boundary"))


def test_a_generator_that_does_not_say_what_it_was_made_with_is_refused(tmp_path: Path) -> None:
    class Forgets(RandSynthFM):
        def __init__(self, spatial_size: tuple[int, int], strength: float = 1.0) -> None:
            super().__init__(spatial_size)
            self._strength = strength

    dataset = SynthFMDataset(1, SIZE, generator=Forgets(SIZE))
    with pytest.raises(ValueError, match=r"^generator Forgets must keep the argument 'strength' of its constructor"):
        write_samples(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("module", ["both", "all"])
@pytest.mark.parametrize("generator_type", [RandSynthFM, RandSynthFM3D])
def test_the_description_of_a_generator_does_not_depend_on_what_it_has_drawn(
    generator_type: type[RandSynthFM] | type[RandSynthFM3D], module: str
) -> None:
    size = (32, 32) if generator_type is RandSynthFM else (32, 32, 8)
    generator = generator_type(size, module=module).set_random_state(seed=0)
    before = json.dumps(generation.generator_settings(generator))
    for _ in range(6):
        generator.randomize()
    assert json.dumps(generation.generator_settings(generator)) == before


def test_files_are_the_same_without_meta_tracking(tmp_path: Path) -> None:
    write_samples(make(2), tmp_path / "tracked")
    set_track_meta(False)
    try:
        write_samples(make(2), tmp_path / "plain")
    finally:
        set_track_meta(True)
    names = sorted(path.name for path in (tmp_path / "tracked").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "plain").iterdir())
    for name in names:
        assert (tmp_path / "tracked" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()

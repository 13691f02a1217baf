# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_synthfm.embeddings.cache import volume_sha256, volume_signature
from monai_synthfm.inferers import EmbeddingCache, EmbeddingCacheOpener, VolumeInferer
from monai_synthfm.networks import ImageEmbedding, MobileSam, NetworkSettings, Zoom
from monai_synthfm.slices.slice_frame import SliceFrame
from monai_synthfm.slices.sliced_volume import SlicedVolume
from tests.inferers.blob_segmenter import BlobSegmenter

SIGNED = {"image_sha256": "a" * 64, "axis": 2}


def embedding(seed: int = 0, finer: int = 0) -> ImageEmbedding:
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.randn(1, 4, 8 * 2**k, 8 * 2**k, generator=generator) for k in range(finer + 1)]
    return ImageEmbedding(maps[0], (30, 20), (64, 43), tuple(reversed(maps[1:])))


def same(a: ImageEmbedding, b: ImageEmbedding) -> bool:
    maps = [(a.features, b.features), *zip(a.high_resolution, b.high_resolution, strict=True)]
    sizes = (a.original_size, a.input_size) == (b.original_size, b.input_size)
    return sizes and all(torch.equal(x, y) and x.dtype == y.dtype for x, y in maps)


@pytest.mark.parametrize("finer", [0, 2])
def test_float32_gives_back_every_bit(tmp_path: Path, finer: int) -> None:
    EmbeddingCache(tmp_path / "c", SIGNED, dtype="float32")[3] = embedding(finer=finer)
    assert same(EmbeddingCache(tmp_path / "c", SIGNED, dtype="float32")[3], embedding(finer=finer))


def test_half_precision_is_the_same_before_and_after_the_disk(tmp_path: Path) -> None:
    first = EmbeddingCache(tmp_path / "c", SIGNED)
    first[3] = embedding(finer=1)
    read = EmbeddingCache(tmp_path / "c", SIGNED)[3]
    assert same(first[3], read)
    assert torch.equal(read.features, embedding(finer=1).features.half().float())
    whole = EmbeddingCache(tmp_path / "d", SIGNED, dtype="float32")
    whole[3] = embedding(finer=1)
    assert whole.bytes_on_disk - first.bytes_on_disk == 2 * (4 * 8 * 8 + 4 * 16 * 16)


def test_it_is_a_mapping_of_slices(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "c", SIGNED, in_memory=1)
    for index in (5, 2, 11):
        cache[index] = embedding(index)
    assert (list(cache), len(cache), 5 in cache, 6 in cache, "5" in cache) == ([2, 5, 11], 3, True, False, False)
    assert torch.equal(cache[2].features, embedding(2).features.half().float())
    del cache[5]
    assert list(cache) == [2, 11]
    for absent in (5, 6):
        with pytest.raises(KeyError):
            cache[absent]
        with pytest.raises(KeyError):
            del cache[absent]
    cache.clear()
    assert (len(cache), cache.bytes_on_disk, 2 in cache) == (0, 0, False)


def test_only_the_slices_used_last_stay_in_memory(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "c", SIGNED, in_memory=2)
    for index in range(4):
        cache[index] = embedding(index)
    assert cache[3] is cache[3]
    assert cache[2] is cache[2]
    kept = cache[3]
    assert cache[0] is not None  # the slice used least recently, 2, makes room
    assert cache[3] is kept
    for path in tmp_path.glob("c/slice-*"):
        path.unlink()
    assert [index in cache for index in range(4)] == [True, False, False, True]


def test_another_signature_is_refused_by_what_differs(tmp_path: Path) -> None:
    EmbeddingCache(tmp_path / "c", SIGNED)[1] = embedding()
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        EmbeddingCache(tmp_path / "c", {**SIGNED, "image_sha256": "b" * 64, "axis": 0})
    assert str(caught.value) == (
        f"embedding cache {tmp_path / 'c'} is stale: image_sha256 is aaaaaaaaaaaa... there and bbbbbbbbbbbb... now; "
        "axis is 2 there and 0 now. Choose another folder, delete this one, or let it be replaced."
    )
    with pytest.raises(ValueError, match="dtype is 'float16' there and 'float32' now"):
        EmbeddingCache(tmp_path / "c", SIGNED, dtype="float32")
    assert list(EmbeddingCache(tmp_path / "c", SIGNED)) == [1]


def test_a_stale_cache_can_be_replaced(tmp_path: Path) -> None:
    old = EmbeddingCache(tmp_path / "c", SIGNED)
    old[1] = embedding()
    new = EmbeddingCache(tmp_path / "c", {**SIGNED, "axis": 0}, on_stale="replace")
    assert list(new) == []
    old[2] = embedding()  # another process that still works with the old signature
    assert list(new) == []
    assert 2 not in new
    with pytest.raises(ValueError, match="is stale"):
        EmbeddingCache(tmp_path / "c", SIGNED)


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"is not empty and holds no signature\.json"):
        EmbeddingCache(tmp_path, SIGNED, on_stale="replace")
    (tmp_path / "signature.json").write_text("{")
    with pytest.raises(ValueError, match="not a signature"):
        EmbeddingCache(tmp_path, SIGNED)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_half_written_entries_never_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = EmbeddingCache(tmp_path / "c", SIGNED)

    def killed(path: Path, **arrays: object) -> None:
        path.write_bytes(b"PK half of an archive")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", killed)
    with pytest.raises(KeyboardInterrupt):
        cache[4] = embedding()
    assert 4 not in cache
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["signature.json"]


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    EmbeddingCache(tmp_path / "c", SIGNED)[4] = embedding()
    (path,) = (tmp_path / "c").glob("slice-*")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"embedding {path} is damaged"):
        EmbeddingCache(tmp_path / "c", SIGNED)[4]


def test_values_that_half_precision_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="slice 4 has values that float16 cannot hold; use float32"):
        EmbeddingCache(tmp_path / "c", SIGNED)[4] = ImageEmbedding(torch.full((1, 1, 2, 2), 1e6), (2, 2), (2, 2))


@pytest.mark.parametrize(("name", "value"), [("dtype", "bfloat16"), ("on_stale", "ignore")])
def test_wrong_words_are_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be one of .*, got '{value}'"):
        EmbeddingCache(tmp_path / "c", SIGNED, **{name: value})
    assert not list(tmp_path.iterdir())


def test_several_writers_share_a_folder(tmp_path: Path) -> None:
    def fill(worker: int) -> None:
        cache = EmbeddingCache(tmp_path / "c", SIGNED, in_memory=1)
        for index in range(12):
            cache[(index + 3 * worker) % 12] = embedding(index)
            assert cache[(index + 3 * worker) % 12].input_size == (64, 43)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fill, range(4)))
    cache = EmbeddingCache(tmp_path / "c", SIGNED)
    assert list(cache) == list(range(12))
    assert all(value.features.isfinite().all() for value in cache.values())
    assert not list((tmp_path / "c").glob(".staged-*"))


@given(st.integers(0, 7), st.integers(0, 5), st.integers(0, 3))
def test_the_hash_of_a_volume_sees_each_voxel(x: int, y: int, z: int) -> None:
    volume = torch.zeros(1, 8, 6, 4)
    changed = volume.clone()
    changed[0, x, y, z] = 1e-30
    assert volume_sha256(volume) != volume_sha256(changed)
    assert volume_sha256(volume) != volume_sha256(volume.reshape(1, 6, 8, 4))
    fortran = changed.permute(0, 3, 2, 1).contiguous().permute(0, 3, 2, 1)
    assert volume_sha256(MetaTensor(fortran)) == volume_sha256(changed)


TURNED = (SliceFrame(2, transposed=True), SliceFrame(2, flips=(True, False)), SliceFrame(2, flips=(False, True)))


def test_weights_settings_frame_and_image_are_signed() -> None:
    volume = torch.rand(1, 6, 5, 4)
    torch.manual_seed(0)
    network = MobileSam(image_size=64)
    signatures = [volume_signature(volume, SliceFrame(axis), network) for axis in (0, 2)]
    signatures.append(volume_signature(volume + 1e-6, SliceFrame(2), network))
    signatures.append(volume_signature(volume, SliceFrame(2), MobileSam(image_size=64)))
    signatures += [volume_signature(volume, turned, network) for turned in TURNED]
    network.preprocessing = "medsam"
    signatures.append(volume_signature(volume, SliceFrame(2), network))
    texts = [json.dumps(signature, sort_keys=True) for signature in signatures]
    assert len(set(texts)) == len(texts)
    network.multimask, network.combines_prompts = "always", False
    assert volume_signature(volume, SliceFrame(2), network) == signatures[-1]
    with torch.autocast("cpu", torch.bfloat16):
        assert volume_signature(volume, SliceFrame(2), network) != signatures[-1]


class Blurring(MobileSam):
    """A network with a setting that no other one has."""

    def __init__(self, blur: int) -> None:
        torch.manual_seed(0)
        super().__init__(image_size=64)
        self.blur = blur

    def describe(self) -> NetworkSettings:
        settings = super().describe()
        return replace(settings, embeddings={**settings.embeddings, "blur": self.blur})

    def encode(self, image: torch.Tensor) -> ImageEmbedding:
        return super().encode(torch.nn.functional.avg_pool2d(image, self.blur, 1, self.blur // 2))


def test_a_setting_that_only_a_new_network_has_makes_a_cache_stale_also_within_a_zoom(tmp_path: Path) -> None:
    volume = torch.rand(1, 6, 5, 4)
    for number, wrap in enumerate((lambda network: network, Zoom)):
        EmbeddingCacheOpener(tmp_path / str(number))(volume, SliceFrame(2), wrap(Blurring(1)))
        EmbeddingCacheOpener(tmp_path / str(number))(volume, SliceFrame(2), wrap(Blurring(1)))
        with pytest.raises(ValueError, match="is stale: blur is 1 there and 3 now"):
            EmbeddingCacheOpener(tmp_path / str(number))(volume, SliceFrame(2), wrap(Blurring(3)))


def test_a_second_run_encodes_nothing_and_gives_the_same(tmp_path: Path) -> None:
    network, volume = BlobSegmenter(), torch.zeros(1, 1, 12, 10, 6)
    volume[..., 3:8, 2:7, :] = 0.9
    clicks = {"points": torch.tensor([[[[5.0, 4.0, 2.0]]]]), "point_labels": torch.ones(1, 1, 1, dtype=torch.long)}
    found = []
    for _ in range(2):
        opener = EmbeddingCacheOpener(tmp_path / "c")
        found.append(VolumeInferer(store=opener)(volume, network, **clicks))
        counts = (len(opener.opened.written), len(opener.opened.read))
    assert network.encoded == 6
    assert counts == (0, 6)
    assert torch.equal(*found)
    assert found[0].sum() == 25 * 6


def test_slices_of_a_real_network_come_back_on_its_device(tmp_path: Path) -> None:
    network, volume = MobileSam(image_size=64).eval(), torch.rand(1, 20, 24, 3)
    with torch.no_grad():
        store = EmbeddingCacheOpener(tmp_path / "c")(volume, SliceFrame(2), network)
        first = SlicedVolume(volume, SliceFrame(2), network, store).embedding(1)
    again = EmbeddingCacheOpener(tmp_path / "c")(volume, SliceFrame(2), network)
    assert same(SlicedVolume(volume, SliceFrame(2), network, again).embedding(1), first)
    assert (again.written, again.read) == (set(), {1})

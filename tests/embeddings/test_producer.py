# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Who fills the ring: the same ring whoever does it, only what is missing, and nothing that would go stale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events

from monai_synthfm.data import SynthFM3DDataset, SynthFMDataset
from monai_synthfm.embeddings import producer as embedding_producer
from monai_synthfm.embeddings.producer import EmbeddingProducer
from monai_synthfm.embeddings.ring import EmbeddingRing
from monai_synthfm.embeddings.ring_dataset import EmbeddingRingDataset
from monai_synthfm.handlers.epoch_setter import EpochSetter
from monai_synthfm.networks import Sam, ViTSize, prepare
from monai_synthfm.transforms import RandSynthFM

TINY = ViTSize(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,))


@pytest.fixture(scope="module")
def network() -> Sam:
    torch.manual_seed(0)
    return prepare(Sam(TINY, image_size=64), frozen=["image_encoder"])


def source(seed: int = 3, size: int = 64) -> SynthFMDataset:
    generator = RandSynthFM((size, size), native_size=(48, 96))
    return SynthFMDataset(20, (size, size), seed=seed, generator=generator)


def visits(folder: Path) -> EmbeddingRingDataset:
    ring = EmbeddingRing(folder, 0.002, feature_shape=(256, 4, 4), label_size=(64, 64))
    return EmbeddingRingDataset(ring, fresh=4, length=4)


def run(producer: EmbeddingProducer, epochs: int) -> list[int]:
    """Run epochs that look at their whole window; return how many images it has."""
    trainer, sizes = Engine(lambda engine, batch: None), []
    EpochSetter(producer.dataset).attach(trainer)
    producer.attach(trainer)

    def look(engine: Engine) -> None:
        window = producer.dataset.window(engine.state.epoch)
        assert all(producer.dataset.ring.holds(number) for number in window)
        sizes.append(len(window))

    trainer.add_event_handler(Events.EPOCH_COMPLETED, look)
    trainer.run([0], max_epochs=epochs)
    return sizes


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_ring_keeps_what_the_network_encodes_up_to_half_precision(tmp_path: Path, network: Sam) -> None:
    producer = EmbeddingProducer(visits(tmp_path), source(), network)
    assert run(producer, 1) == [4]
    for number in range(4):
        sample, stored = source()[number], producer.dataset.ring.read(number)
        features = network.encode(sample["image"][None]).features[0].numpy()
        np.testing.assert_allclose(stored.features, features, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(stored.label, sample["label"].numpy())
        image, _ = source().generator.replay(stored.params)
        assert torch.equal(image.as_tensor(), sample["image"].as_tensor())


def test_the_slices_of_a_clip_are_encoded_one_by_one(tmp_path: Path, network: Sam) -> None:
    size = (48, 40, 3)
    clips = SynthFM3DDataset(2, size, seed=3)
    ring = EmbeddingRing(tmp_path, 0.002, feature_shape=(3, 256, 4, 4), label_size=size)
    run(EmbeddingProducer(EmbeddingRingDataset(ring, fresh=2, length=2), clips, network), 1)
    for number in range(2):
        stored = ring.read(number)
        np.testing.assert_array_equal(stored.label, clips[number]["label"].numpy())
        for k in range(3):
            rows_first = clips[number]["image"].as_tensor()[..., k].mT
            features = network.encode(rows_first[None]).features[0].numpy()
            np.testing.assert_allclose(stored.features[k], features, rtol=1e-3, atol=1e-4)


def test_workers_beside_the_training_make_the_same_bytes(tmp_path: Path, network: Sam) -> None:
    sizes = run(EmbeddingProducer(visits(tmp_path / "alone"), source(), network), 3)
    assert sizes == [4, 8, 12]
    run(EmbeddingProducer(visits(tmp_path / "two"), source(), network, num_workers=2), 3)
    assert contents(tmp_path / "alone") == contents(tmp_path / "two")


def test_ranks_share_the_work_and_make_the_same_bytes(
    tmp_path: Path, network: Sam, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(EmbeddingProducer(visits(tmp_path / "one"), source(), network), 1)
    monkeypatch.setattr(embedding_producer, "ranks_at_folder", lambda folder: (0, 2, 3))  # 1 has a ring of its own
    for place, rank in ((2, 3), (0, 0), (1, 2)):
        monkeypatch.setattr(embedding_producer.idist, "get_rank", lambda rank=rank: rank)
        before = set(contents(tmp_path / "three")) if rank != 3 else set()
        EmbeddingProducer(visits(tmp_path / "three"), source(), network)(Engine(lambda engine, batch: None))
        made = set(contents(tmp_path / "three")) - before - {"manifest.json"}
        assert made == {f"{number:06d}.npy" for number in range(4) if number % 3 == place}
    assert contents(tmp_path / "three") == contents(tmp_path / "one")


def test_after_an_interruption_only_what_is_missing_is_made(tmp_path: Path, network: Sam) -> None:
    run(EmbeddingProducer(visits(tmp_path), source(), network), 1)
    before = contents(tmp_path)
    (tmp_path / "000001.npy").unlink()
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    run(EmbeddingProducer(visits(tmp_path), source(), network), 1)
    assert contents(tmp_path) == before
    changed = {path.name for path in tmp_path.iterdir() if path.stat().st_mtime_ns != times.get(path.name)}
    assert changed == {"000001.npy"}


def test_a_ring_of_other_images_or_another_encoder_is_refused(tmp_path: Path, network: Sam) -> None:
    run(EmbeddingProducer(visits(tmp_path), source(), network), 1)
    with pytest.raises(ValueError, match="differs in seed"):
        run(EmbeddingProducer(visits(tmp_path), source(seed=4), network), 1)
    torch.manual_seed(1)
    with pytest.raises(ValueError, match="differs in image_encoder_sha256"):
        run(EmbeddingProducer(visits(tmp_path), source(), prepare(Sam(TINY, 64), frozen=["image_encoder"])), 1)


def test_embeddings_that_would_go_stale_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="freeze image_encoder"):
        run(EmbeddingProducer(visits(tmp_path), source(), Sam(TINY, image_size=64)), 1)


def test_wrong_sources_are_named(tmp_path: Path, network: Sam) -> None:
    with pytest.raises(ValueError, match=r"the network's 64 x 64 pixels, not \(32, 32\)"):
        EmbeddingProducer(visits(tmp_path), source(size=32), network)
    prompted = SynthFMDataset(2, (64, 64), transform=dict)
    with pytest.raises(ValueError, match="source must have no transform"):
        EmbeddingProducer(visits(tmp_path), prompted, network)

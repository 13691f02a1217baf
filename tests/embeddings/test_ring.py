# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The ring of embeddings: bounded, newest images only, whole slots only."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monai_synthfm.embeddings.ring import EmbeddingRing

FEATURES, LABEL = (4, 2, 2), (16, 16)


def make_ring(folder: Path, slots: int = 5) -> EmbeddingRing:
    one = EmbeddingRing(folder, 1.0, FEATURES, LABEL).slot_bytes
    return EmbeddingRing(folder, (slots + 0.5) * one / 1e9, FEATURES, LABEL)


def image(number: int) -> tuple[np.ndarray, np.ndarray, str]:
    random = np.random.default_rng(number)
    return (
        random.normal(size=FEATURES).astype(np.float32),
        random.integers(0, 3, size=(1, *LABEL)),
        f'{{"seed":{number}}}',
    )


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(st.integers(0, 40), max_size=20), slots=st.integers(1, 6))
def test_a_slot_holds_the_image_last_written_to_it(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], slots: int
) -> None:
    ring = make_ring(tmp_path_factory.mktemp("ring"), slots)
    expected: dict[int, int] = {}
    for number in numbers:
        ring.write(number, *image(number))
        expected[number % slots] = number
    assert [number for number in range(41) if ring.holds(number)] == sorted(expected.values())
    assert len(list(ring.folder.iterdir())) == len(expected) <= slots
    for number in expected.values():
        features, label, params = image(number)
        stored = ring.read(number)
        np.testing.assert_array_equal(stored.features, features.astype(np.float16))
        np.testing.assert_array_equal(stored.label, label)
        assert stored.params == params


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label=hnp.arrays(np.int64, (1, 16, 16), elements=st.integers(0, 65535)))
def test_labels_survive_without_loss(tmp_path_factory: pytest.TempPathFactory, label: np.ndarray) -> None:
    ring = make_ring(tmp_path_factory.mktemp("ring"))
    ring.write(0, image(0)[0], label, "{}")
    np.testing.assert_array_equal(ring.read(0).label, label)


def test_a_clip_of_noisy_labels_fits_its_slot(tmp_path: Path) -> None:
    ring = EmbeddingRing(tmp_path, 0.1, (8, 4, 2, 2), (96, 96, 8))
    random = np.random.default_rng(0)
    # a mosaic of cells of three voxels, finer than any that is generated
    cells = random.integers(0, 40, size=(32, 32, 8)).repeat(3, axis=0).repeat(3, axis=1)[None]
    ring.write(0, np.zeros((8, 4, 2, 2)), cells, "{}")
    np.testing.assert_array_equal(ring.read(0).label, cells)


def test_the_files_never_exceed_the_size_asked_for(tmp_path: Path) -> None:
    ring = make_ring(tmp_path, slots=3)
    noise = np.random.default_rng(0).integers(0, 65536, size=(1, *LABEL))
    for number in range(9):
        ring.write(number, image(number)[0], noise, "x" * 10_000)
    used = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 3
    assert used <= 3 * ring.slot_bytes


def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    ring = make_ring(tmp_path, slots=5)
    with pytest.raises(KeyError, match=r"image 7 is not in .*: its slot holds None"):
        ring.read(7)
    ring.write(12, *image(12))
    with pytest.raises(KeyError, match="its slot holds 12"):
        ring.read(7)


def test_what_does_not_fit_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    ring = EmbeddingRing(tmp_path / "ring", 0.01, FEATURES, (512, 512))
    features, label = np.zeros(FEATURES), np.zeros((1, 512, 512), dtype=np.int64)
    noise = np.random.default_rng(0).integers(0, 65536, size=label.shape)
    for wrong, message in (
        ((features[1:], label), "features of image 0 must be"),
        ((features + 1e6, label), "finite in half precision"),
        ((features, label[:, 1:]), "label of image 0 must be"),
        ((features, label - 1), "within 0 to 65535"),
        ((features, noise), "does not fit a slot: its label takes"),
    ):
        with pytest.raises(ValueError, match=message):
            ring.write(0, *wrong, "{}")
    assert not ring.folder.exists()
    with pytest.raises(ValueError, match="size_gb must be at least"):
        EmbeddingRing(tmp_path, 1e-6, FEATURES, LABEL)


def test_another_stream_is_refused_and_a_smaller_ring_gives_space_back(tmp_path: Path) -> None:
    ring = make_ring(tmp_path, slots=5)
    ring.claim({"seed": 0})
    for number in range(5):
        ring.write(number, *image(number))
    with pytest.raises(ValueError, match=r"holds another stream of images, its manifest.json differs in seed"):
        make_ring(tmp_path, slots=5).claim({"seed": 1})
    smaller = make_ring(tmp_path, slots=2)
    smaller.claim({"seed": 0})
    assert len(list(tmp_path.glob("*.npy"))) == 2


WRITER = """
import sys
import numpy as np
from monai_synthfm.embeddings.ring import EmbeddingRing
ring = EmbeddingRing(sys.argv[1], 1.0, (64, 64, 64), (16, 16))
for number in range(10**6):
    features = np.full((64, 64, 64), number % 1000, dtype=np.float32)
    ring.write(number % 3, features, np.full((1, 16, 16), number % 1000), "{}")
    print(number, flush=True)
"""


def test_a_killed_writer_leaves_whole_slots_only(tmp_path: Path) -> None:
    ring = EmbeddingRing(tmp_path, 1.0, (64, 64, 64), LABEL)
    checked = 0
    for pause in (0.0, 0.003, 0.007):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        while writer.stdout.readline() != "4\n":
            assert writer.poll() is None
        for _ in range(20):  # read while the other process writes
            stored = ring.read(checked % 3)
            assert len(np.unique(stored.features)) == len(np.unique(stored.label)) == 1
            assert stored.features.flat[0] == stored.label.flat[0]
            checked += 1
        time.sleep(pause)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        for number in range(3):
            assert ring.holds(number)
            stored = ring.read(number)
            assert (stored.features == stored.label.flat[0]).all()
    assert checked == 60

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Who fills a ring of embeddings: the training processes themselves between two epochs, or workers beside them."""

from __future__ import annotations

from collections.abc import Iterator

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from torch.utils.data import DataLoader, Dataset

from monai_synthfm.data.generation import generator_settings
from monai_synthfm.data.synthfm_3d_dataset import SynthFM3DDataset
from monai_synthfm.data.synthfm_dataset import SynthFMDataset
from monai_synthfm.embeddings.ring import EmbeddingRing
from monai_synthfm.embeddings.ring_dataset import EmbeddingRingDataset
from monai_synthfm.networks.sam_family import SamFamily
from monai_synthfm.networks.weights.fingerprint import state_sha256
from monai_synthfm.utils.one_thread import one_thread
from monai_synthfm.utils.processes import ranks_at_folder

__all__ = ["EmbeddingProducer"]


class EmbeddingProducer:
    """Before each epoch, generate, encode and store the images of its window that the ring does not hold yet.

    What is stored depends on the number of an image in the stream alone: any number of processes makes the same ring,
    and after an interruption only what is missing is made. Data-parallel processes that see one ring share the work
    among them; a machine with a ring of its own makes all of it.

    Args:
        dataset: visits the ring; its epoch decides what is needed. Attach this after the handler that sets the epoch.
        source: generates image i of the stream, or clip i, whose slices are encoded one by one; without transform.
        network: its image encoder must be frozen.
        num_workers: processes, for each training process, that make the images of the next epoch during this one;
            0 = none, the training process makes them before the epoch, which is the only choice on a GPU.

    Raises:
        ValueError: when the images are not of the network's input size, the image encoder is trained, the source has a
            transform, or the folder of the ring holds another stream.
    """

    def __init__(
        self,
        dataset: EmbeddingRingDataset,
        source: SynthFMDataset | SynthFM3DDataset,
        network: SamFamily,
        num_workers: int = 0,
    ) -> None:
        if source.transform is not None:
            raise ValueError("source must have no transform: the ring keeps what was generated.")
        if isinstance(source, SynthFMDataset) and source.generator.spatial_size != (network.image_size,) * 2:
            raise ValueError(
                f"source must generate images of the network's {network.image_size} x {network.image_size} pixels, "
                f"not {source.generator.spatial_size}."
            )
        self.dataset = dataset
        self.source = source
        self.network = network
        self.num_workers = num_workers
        self.ranks: tuple[int, ...] = ()  # of the processes at this ring, once it is claimed
        self.pending: Iterator[int] = iter(())

    def attach(self, engine: Engine) -> None:
        """Register with the trainer, or with the evaluator for its own dataset."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Make what this epoch needs, and begin with what the next one needs."""
        if not self.ranks:
            self.dataset.ring.claim(self._signature())
            self.ranks = ranks_at_folder(self.dataset.ring.folder)
        for _ in self.pending:
            pass
        for _ in self._making(self.dataset.epoch, num_workers=0):
            pass
        idist.barrier()
        if self.num_workers and engine.state.epoch < (engine.state.max_epochs or 0):
            self.pending = iter(self._making(self.dataset.epoch + 1, self.num_workers))

    def _making(self, epoch: int, num_workers: int) -> DataLoader:
        """Make this process's share of what is missing for an epoch, image by image as it is iterated over."""
        ring = self.dataset.ring
        # shared out by number: what is missing is another list for a process that looks while others are writing
        place = self.ranks.index(idist.get_rank())
        own = (number for number in self.dataset.window(epoch) if number % len(self.ranks) == place)
        share = [number for number in own if not ring.holds(number)]
        writing = _Writing(ring, self.source, self.network)
        # all of it queued at once: nobody takes results before the epoch is over
        queued = -(-len(share) // num_workers) + 1 if num_workers else None
        return DataLoader(writing, batch_size=None, sampler=share, num_workers=num_workers, prefetch_factor=queued)

    def _signature(self) -> dict[str, object]:
        return {
            "seed": self.source.seed,
            "generator": generator_settings(self.source.generator),
            "image_size": self.network.image_size,
            "preprocessing": self.network.preprocessing,
            "image_encoder_sha256": state_sha256(self.network.image_encoder),
        }


class _Writing(Dataset):
    """Makes and stores image ``number`` when it is asked for, so that a data loader's workers do so in parallel."""

    def __init__(self, ring: EmbeddingRing, source: SynthFMDataset | SynthFM3DDataset, network: SamFamily) -> None:
        self.ring = ring
        self.source = source
        self.network = network

    def __getitem__(self, number: int) -> int:
        sample = self.source[number]
        image, params = sample["image"], self.source.params.to_json()
        # one image at a time and one thread on CPUs: batches and threads round differently
        slices = image[None] if image.ndim == 3 else image.permute(3, 0, 2, 1)
        with one_thread():
            encoded = [self.network.encode(one[None].to(self.network.pixel_mean.device)).features for one in slices]
        features = encoded[0][0] if image.ndim == 3 else torch.cat(encoded)
        if features.requires_grad:
            raise ValueError("the image encoder is trained, its embeddings cannot be kept: freeze image_encoder.")
        self.ring.write(number, features.cpu().numpy(), sample["label"].cpu().numpy(), params)
        return number

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Models in an evaluation: anything that looks at an image once and answers prompts with masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from monai_synthfm.handlers.segmentation_record import describe_weights
from monai_synthfm.networks import ImageEmbedding, Promptable
from monai_synthfm.networks.weights.fingerprint import describe_network
from monai_synthfm.prompts import Prompts
from monai_synthfm.utils.switches import reads_switches

__all__ = ["Answer", "Model", "NetworkPredictor", "Predictor"]


@dataclass(frozen=True)
class Answer:
    """
    What a model says to N prompts.

    Args:
        masks: booleans [N, H, W] at native resolution.
        logits: [N, 1, h, w] to be given back as mask prompts, or None when the model has none.
    """

    masks: np.ndarray
    logits: torch.Tensor | None = None


class Model(ABC):
    """
    A model in an evaluation, of images or of volumes.

    Args:
        name: as it stands in the table; different for each model.

    Raises:
        ValueError: when the name is empty or no text.
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(
                f"name must be a text that no other model in the table has, got {name!r}. "
                "On a command line a text with commas takes two pairs of quotes: \"'SynthFM, ours'\"."
            )
        self.name = name

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what decides the answers, for JSON: equal descriptions give equal masks."""

    def weight_files(self) -> list[dict[str, str]]:
        """Return ``file`` and ``sha256`` of the files that its weights came from, in that order; none by default."""
        return []

    def release(self) -> None:  # noqa: B027 - most models have nothing to give back
        """Give memory back; the model may be used again afterwards."""


class Predictor(Model):
    """A model that looks at an image once and answers prompts with masks."""

    @abstractmethod
    def encode(self, image: torch.Tensor) -> Any:
        """
        Look at an image.

        Args:
            image: [1 or 3, H, W] in [0, 1].

        Returns:
            What :meth:`segment` needs of it.
        """

    @abstractmethod
    def segment(self, encoded: Any, prompts: Prompts) -> Answer:
        """
        Answer the prompts of N objects on an image.

        Args:
            encoded: from :meth:`encode`.
            prompts: N objects, not batched, in pixels of the image.
        """


@reads_switches
class NetworkPredictor(Predictor):
    """
    A promptable network of this package.

    Pixels belong to an object where the logit is above 0.

    Args:
        name: as it stands in the table.
        network: the network, or a function that makes it when it is first needed and again after :meth:`release`.
        device: where it runs.
        amp: bfloat16 autocast, measured slower than float32 on CPUs without matrix units.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> predictor = NetworkPredictor("random", lambda: MobileSam(image_size=64))
        >>> click = Prompts(torch.tensor([[[9.0, 9.0]]]), torch.tensor([[1]]))
        >>> predictor.segment(predictor.encode(torch.rand(1, 20, 30)), click).masks.shape
        (1, 20, 30)
    """

    def __init__(
        self,
        name: str,
        network: Promptable | Callable[[], Promptable],
        device: torch.device | str = "cpu",
        amp: bool = False,
    ) -> None:
        super().__init__(name)
        self.make = network if not isinstance(network, Promptable) else None
        self.network = network if isinstance(network, Promptable) else None
        self.device = torch.device(device)
        self.amp = amp
        self._weight_files: list[dict[str, str]] | None = None

    @torch.no_grad()
    def encode(self, image: torch.Tensor) -> ImageEmbedding:
        """Compute the embedding that all prompts share."""
        with self.autocast():
            embedding = self.ready().encode(image[None].to(self.device))
        finer = tuple(features.float() for features in embedding.high_resolution)
        return replace(embedding, features=embedding.features.float(), high_resolution=finer)

    @torch.no_grad()
    def segment(self, encoded: ImageEmbedding, prompts: Prompts) -> Answer:
        """Decode the masks."""
        network = self.ready()
        with self.autocast():
            logits = network.decode(encoded, prompts.to(self.device).batched())
            masks = network.postprocess(logits.float(), encoded) > 0
        return Answer(masks[0].cpu().numpy(), logits[0, :, None].float())

    def describe(self) -> dict[str, Any]:
        """Return the settings of the network and the hash of its weights."""
        return {**describe_network(self.ready()), "amp": self.amp}

    def weight_files(self) -> list[dict[str, str]]:
        """Return the files as they were when the network was first needed."""
        if self._weight_files is None:
            self.ready()
        return list(self._weight_files or ())

    def release(self) -> None:
        """Drop a network that can be made again."""
        if self.make is not None:
            self.network = None

    def ready(self) -> Promptable:
        """Return the network, on its device and in evaluation mode."""
        if self.network is None:
            assert self.make is not None
            self.network = self.make()
        if self._weight_files is None:
            files = self.network.core.weight_files
            self._weight_files = [
                *describe_weights([file for file in files if file.is_file()]),
                *({"file": str(file), "sha256": "not known, the file is gone"} for file in files if not file.is_file()),
            ]
        return self.network.to(self.device).eval()

    def autocast(self) -> torch.autocast:
        """Return the context in which the network runs."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.amp)

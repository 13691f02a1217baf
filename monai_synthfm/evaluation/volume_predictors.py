# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Models in an evaluation of volumes: anything that looks at a volume once and follows an object from one slice."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor

from monai_synthfm.embeddings.cache import EmbeddingCache
from monai_synthfm.evaluation.predictors import Model, NetworkPredictor
from monai_synthfm.evaluation.volume_plan import PlannedPrompt
from monai_synthfm.handlers.segmentation_record import describe_weights
from monai_synthfm.inferers.propagation.choice import choose_propagation
from monai_synthfm.inferers.propagation.propagation import Progress, Propagation
from monai_synthfm.inferers.session.interactive_session import InteractiveSession
from monai_synthfm.inferers.session.volume import ChangedBox
from monai_synthfm.inferers.volume_inferer import VolumeInferer
from monai_synthfm.networks import ImageEmbedding
from monai_synthfm.slices.slice_frame import SliceFrame
from monai_synthfm.slices.sliced_volume import SlicedVolume
from monai_synthfm.transforms.medsam import MedSAMIntensity
from monai_synthfm.utils.switches import reads_switches

__all__ = ["NetworkVolumePredictor", "OpenVolume", "PreparedSession", "VolumePredictor"]

_SLICES_IN_MEMORY = 64
# As radiologists see them: a session then shows the slices as they stand.
_DISPLAYED = torch.diag(torch.tensor([-1.0, -1.0, -1.0, 1.0], dtype=torch.float64))


class VolumePredictor(Model):
    """A model that looks at a volume once and follows objects from a prompted slice."""

    @abstractmethod
    def look(self, image: torch.Tensor, axis: int) -> AbstractContextManager[Any]:
        """
        Open a volume.

        Args:
            image: [1 or 3, X, Y, Z] in [0, 1].
            axis: across which it is cut; a slice has the first axis that is left as width.

        Returns:
            A context with what :meth:`segment` needs of the volume; it is closed when all is asked.
        """

    @abstractmethod
    def segment(self, seen: Any, prompt: PlannedPrompt, direction: str) -> np.ndarray:
        """
        Segment one object.

        Args:
            seen: from :meth:`look`.
            prompt: where it is on one slice.
            direction: in which to follow it, see :data:`~monai_synthfm.inferers.propagation.propagation.DIRECTIONS`.

        Returns:
            Booleans [X, Y, Z].
        """

    def session(self, seen: Any) -> InteractiveSession:
        """
        Open an interactive session on a volume whose voxels are those of :meth:`segment`.

        Args:
            seen: from :meth:`look`.

        Raises:
            ValueError: when the model has none.
        """
        raise ValueError(f"model {self.name} has no interactive session: set challenge_clicks to 0.")


@dataclass(frozen=True)
class OpenVolume:
    """
    A volume that a network looks at.

    Args:
        image: [1 or 3, X, Y, Z] on the network's device.
        axis: across which it is cut.
        store: embeddings of the slices that some prompt has led to.
    """

    image: torch.Tensor
    axis: int
    store: MutableMapping[int, ImageEmbedding]


@reads_switches
class NetworkVolumePredictor(VolumePredictor):
    """
    A promptable network of this package, with a way to carry objects from slice to slice.

    Every slice is encoded once for all prompts of all targets. Embeddings are kept as float32 in a temporary folder,
    the latest in memory, so that memory does not grow with the volume.

    Args:
        predictor: the network as for slices; its name stands in the table.
        propagation: how objects are carried on, see
            :func:`~monai_synthfm.inferers.propagation.choice.choose_propagation`; None takes what suits the network.
        keep_largest: reduce every answer to its largest 26-connected part.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> from monai_synthfm.prompts import Prompts
        >>> predictor = NetworkVolumePredictor(NetworkPredictor("random", lambda: MobileSam(image_size=64)))
        >>> click = PlannedPrompt(2, Prompts(torch.tensor([[[9.0, 9.0]]]), torch.tensor([[1]])))
        >>> with predictor.look(torch.rand(1, 20, 30, 4), axis=2) as seen:
        ...     predictor.segment(seen, click, "forward").shape
        (20, 30, 4)
    """

    def __init__(
        self, predictor: NetworkPredictor, propagation: Propagation | str | None = None, keep_largest: bool = False
    ) -> None:
        super().__init__(predictor.name)
        self.predictor = predictor
        self.propagation = propagation
        self.keep_largest = keep_largest

    @contextmanager
    def look(self, image: torch.Tensor, axis: int) -> Iterator[OpenVolume]:
        """Make room for the embeddings; slices are encoded when a prompt leads to them."""
        with tempfile.TemporaryDirectory(prefix="monai_synthfm-") as folder:
            store = EmbeddingCache(folder, {}, dtype="float32", in_memory=_SLICES_IN_MEMORY)
            yield OpenVolume(image.to(self.predictor.device), axis, store)

    def segment(self, seen: OpenVolume, prompt: PlannedPrompt, direction: str) -> np.ndarray:
        """Follow the object through the volume."""
        slices = SlicedVolume(seen.image, SliceFrame(seen.axis), self.predictor.ready(), seen.store)
        inferer = VolumeInferer(self.propagation, direction, keep_largest=self.keep_largest)
        with self.predictor.autocast():
            labels = inferer.segment_slices(slices, prompt.by_slice(), range(len(slices)), 1)
        return labels[0].cpu().numpy() > 0

    def session(self, seen: OpenVolume) -> InteractiveSession:
        """Open a session that shares the encodings of this volume."""
        if self.keep_largest:
            raise ValueError(
                f"model {self.name}: keep_largest must be false with challenge_clicks, as a session keeps all parts."
            )
        return PreparedSession(self.predictor, seen, self.propagation)

    def describe(self) -> dict[str, Any]:
        """Return the settings of the network and of the propagation."""
        propagation = choose_propagation(self.predictor.ready(), self.propagation)
        return {
            **self.predictor.describe(),
            "propagation": _settings(propagation),
            "keep_largest": self.keep_largest,
        }

    def weight_files(self) -> list[dict[str, str]]:
        """Return those of the network, and of what carries objects on."""
        carrying = choose_propagation(self.predictor.ready(), self.propagation).weight_files
        return [*self.predictor.weight_files(), *describe_weights(carrying)]

    def release(self) -> None:
        """Drop a network that can be made again."""
        self.predictor.release()


class PreparedSession(InteractiveSession):
    """
    An interactive session on a volume of an evaluation, which shares the encodings of its slices.

    Args:
        predictor: the network.
        seen: the volume.
        propagation: how objects are carried on, see
            :func:`~monai_synthfm.inferers.propagation.choice.choose_propagation`; None takes what suits the network.

    Raises:
        ValueError: when the volume has colours, which sessions do not take.
    """

    def __init__(
        self, predictor: NetworkPredictor, seen: OpenVolume, propagation: Propagation | str | None = None
    ) -> None:
        super().__init__(predictor.ready(), seen.axis, propagation=propagation, device=predictor.device)
        self.intensity = _AsPrepared()
        self.store = lambda *_: seen.store
        self._autocast = predictor.autocast
        self.set_image(MetaTensor(seen.image.cpu(), affine=_DISPLAYED))

    def _show(self, progress: Progress | None, carries: bool) -> ChangedBox | None:
        """Segment in the precision of the evaluation."""
        with self._autocast():
            return super()._show(progress, carries)


class _AsPrepared(MedSAMIntensity):
    """Leaves intensities as an evaluation prepared them."""

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        return img


def _settings(value: Any) -> Any:
    """Return the public attributes of an object, and of those in it, for JSON."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.dtype):
        return str(value)
    if isinstance(value, Sequence):
        return [_settings(part) for part in value]
    settings = {name: _settings(part) for name, part in vars(value).items() if not name.startswith("_")}
    return {"name": type(value).__name__, **settings}

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Interactive segmentation of a volume: prompts come one after the other, and each answer says what changed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import MutableMapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor

from monai_synthfm.data.nifti import check_voxels, is_nifti, label_image
from monai_synthfm.data.planes import slicing_axis, stored_axis
from monai_synthfm.data.slice_prompts import within_slices
from monai_synthfm.data.staging import staged_files
from monai_synthfm.data.volume_files import check_space, geometry_of, load_image, load_mask
from monai_synthfm.data.volume_prompts import read_volume_prompts
from monai_synthfm.inferers.embedding_cache import EmbeddingCacheOpener
from monai_synthfm.inferers.free_memory import free_memory
from monai_synthfm.inferers.interactions import Interaction, combine, split_negatives
from monai_synthfm.inferers.propagation import DIRECTIONS, Propagation
from monai_synthfm.inferers.recent_embeddings import RecentEmbeddings, temporary_embeddings
from monai_synthfm.inferers.session_volume import ChangedBox, ObjectMasks, SessionVolume, size_of
from monai_synthfm.inferers.volume_inferer import EmbeddingStore, default_propagation
from monai_synthfm.networks import ImageEmbedding, Promptable
from monai_synthfm.transforms.medsam import MedSAMIntensity

__all__ = ["InteractiveSession"]

_REMEMBERED = 32
_CAPACITY = 2**30  # bytes of what earlier prompts gave
_MOST_OBJECTS = 2**15 - 1


class InteractiveSession:
    """
    Segment objects of one volume after another by prompts that come bit by bit.

    Each slice is encoded once, however many there are. Without ``cache_dir`` embeddings are kept in memory, and what
    does not fit goes to a temporary folder until the next image (:class:`~monai_synthfm.inferers.RecentEmbeddings`).
    A prompt for one object leaves the others as they are: objects are carried through the volume one by one, and where
    they overlap, the voxel goes to the one with the larger logit. What comes out depends on the prompts alone: after
    :meth:`undo` everything is as it was before, bit for bit.

    All clicks of an object count, its latest box, and on each slice its latest mask. A negative click on a slice
    without other prompts corrects what propagation brings there.

    Args:
        network: a promptable network; it is moved to ``device`` and set to evaluation mode.
        axis: across which slices are cut: ``auto``, ``axial``, ``coronal``, ``sagittal``, or 0, 1 or 2, the axis of the
            stored array.
        direction: from the prompted slices: ``both``, ``forward`` (to higher slices of the stored array), ``backward``
            or ``none``.
        modality: how intensities are scaled to [0, 1], see :class:`~monai_synthfm.transforms.medsam.MedSAMIntensity`.
        propagation: how objects are carried on; None = what suits the network.
        cache_dir: folder of an :class:`~monai_synthfm.inferers.EmbeddingCache` for one image, which stays; None keeps
            embeddings as said above.
        device: where the network runs.
        on_stale: when ``cache_dir`` belongs to another image, axis, network or other weights, ``raise`` refuses it and
            ``replace`` clears it.
        memory: bytes that embeddings may take in memory without ``cache_dir``; None = half of what is free on
            ``device`` when an image is set. In 1 GiB fit 256 slices of a SAM of 1024 pixels, or 64 of a SAM 2; the
            others take as much disk in the folder of temporary files (``TMPDIR``).

    Raises:
        ValueError: when ``direction`` is another word or ``memory`` negative; by the methods, when there is no image,
            ``cache_dir`` is stale, or a prompt is wrong. A call that fails changes nothing.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> session = InteractiveSession(MobileSam(image_size=64), direction="none")
        >>> session.set_image(MetaTensor(torch.rand(1, 20, 24, 5), affine=torch.eye(4)))
        >>> changed = session.add_box([3, 3, 2, 9, 9, 2])
        >>> changed is None or session.segmentation[0][changed].any().item()
        True
        >>> back = session.undo()
        >>> session.segmentation.any().item()
        False
    """

    def __init__(
        self,
        network: Promptable,
        axis: str | int = "auto",
        direction: str = "both",
        modality: str = "auto",
        propagation: Propagation | None = None,
        cache_dir: str | Path | None = None,
        device: torch.device | str = "cpu",
        on_stale: str = "raise",
        memory: int | None = None,
    ) -> None:
        if memory is not None and memory < 0:
            raise ValueError(f"memory must be a number of bytes, got {memory}.")
        if direction not in DIRECTIONS:
            raise ValueError(f"direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}.")
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()
        self.axis = axis
        self.direction = direction
        self.intensity = MedSAMIntensity(modality)
        self.propagation = default_propagation(network) if propagation is None else propagation
        self.memory = memory
        self.store: EmbeddingStore = (
            self._in_memory if cache_dir is None else EmbeddingCacheOpener(cache_dir, on_stale=on_stale)
        )
        self._volume: SessionVolume | None = None
        self._serials = count()
        self._interactions: list[Interaction] = []
        self._shown: dict[int, ObjectMasks] = {}
        self._found: OrderedDict[tuple[int, ...], ObjectMasks] = OrderedDict()

    def set_image(self, image: str | Path | MetaTensor, series: str | int | None = None) -> None:
        """
        Begin with a volume; what was said about another one is forgotten.

        Args:
            image: file or folder of a DICOM series, see :func:`~monai_synthfm.data.volume_files.load_image`, or a
                MetaTensor [1, X, Y, Z] with its affine.
            series: number or SeriesInstanceUID of the DICOM series that is meant, in a folder with several.
        """
        if isinstance(image, MetaTensor) and series is not None:
            raise ValueError(f"series {series} is to be chosen in a folder of DICOM files, but image is a MetaTensor.")
        stored = _stored(image) if isinstance(image, MetaTensor) else load_image(image, series)
        axis = slicing_axis(self.axis, np.asarray(stored.affine), tuple(stored.shape[1:]))
        self._volume = SessionVolume(stored, axis, self.network, self.intensity, self.store, self.device)
        self._interactions, self._shown = [], {}
        self._found.clear()

    def add_points(
        self,
        points: Sequence[Sequence[float]] | np.ndarray | torch.Tensor,
        labels: Sequence[int] | np.ndarray | torch.Tensor,
        object_id: int = 1,
        space: str = "voxel",
        run: bool = True,
    ) -> ChangedBox | None:
        """
        Add clicks.

        Args:
            points: [x, y, z] each.
            labels: 1 (positive) or 0 (negative) each.
            object_id: number of the object in the segmentation, from 1.
            space: of the coordinates: ``voxel`` of the stored array, ``world`` (RAS+ mm) or ``lps`` (LPS+ mm).
            run: segment now; otherwise the next call that runs, or :meth:`predict`, will.

        Returns:
            Where the segmentation changed, or None when it did not.
        """
        return self._add(object_id, run, points=[points], point_labels=[labels], space=space)

    def add_box(
        self,
        box: Sequence[float] | np.ndarray | torch.Tensor,
        object_id: int = 1,
        space: str = "voxel",
        run: bool = True,
    ) -> ChangedBox | None:
        """
        Set the box of an object, used on all slices that it spans; see :meth:`add_points`.

        Args:
            box: [x0, y0, z0, x1, y1, z1], opposite corners, inside it, of a box along the axes of ``space``.
            object_id: number of the object in the segmentation, from 1.
            space: of the coordinates.
            run: segment now.
        """
        return self._add(object_id, run, boxes=[box], space=space)

    def add_mask(
        self, mask: str | Path | np.ndarray | torch.Tensor, object_id: int = 1, run: bool = True
    ) -> ChangedBox | None:
        """
        Say where an object is on some slices; see :meth:`add_points`.

        Args:
            mask: above 0 where the object is, [X, Y, Z] or [1, X, Y, Z] in the voxels of the stored array, or a NIfTI
                file on these voxels, in any order. Slices without any such voxel say nothing.
            object_id: number of the object in the segmentation, from 1.
            run: segment now.
        """
        volume = self._ready()
        if isinstance(mask, (str, Path)):
            given = load_mask(mask, volume.stored)
        else:
            given = np.asarray(mask.cpu() if isinstance(mask, torch.Tensor) else mask)
        shape = tuple(volume.stored.shape[1:])
        inside = given.reshape(shape) > 0 if given.shape in (shape, (1, *shape)) else None
        if inside is None or not inside.any():
            raise ValueError(f"mask must be {list(shape)} and above 0 somewhere, got shape {list(given.shape)}.")
        return self._add(object_id, run, mask=inside)

    def undo(self) -> ChangedBox | None:
        """
        Take the last prompt back.

        Returns:
            Where the segmentation changed, or None when it did not.

        Raises:
            ValueError: when there is nothing to take back.
        """
        if not self._interactions:
            raise ValueError("there is no prompt to undo.")
        last = self._interactions.pop()
        try:
            return self.predict()
        except BaseException:
            self._interactions.append(last)
            raise

    def reset(self) -> ChangedBox | None:
        """Take all prompts back, and return where the segmentation changed."""
        self._interactions.clear()
        return self.predict()

    @torch.no_grad()
    def predict(self) -> ChangedBox | None:
        """Segment the objects whose prompts changed, and return where the segmentation changed, or None."""
        volume = self._ready()
        by_object: dict[int, list[Interaction]] = {}
        for item in self._interactions:
            by_object.setdefault(item.object_id, []).append(item)
        shown = {number: self._masks(items) for number, items in by_object.items()}
        changed = volume.show(self._shown, shown)
        self._shown = shown
        # those shown were used last
        spare = len(self._found) - len(shown)
        size = sum(map(size_of, self._found.values()))
        while spare > _REMEMBERED or (spare > 0 and size > _CAPACITY):
            size -= size_of(self._found.popitem(last=False)[1])
            spare -= 1
        return changed

    @property
    def segmentation(self) -> MetaTensor:
        """Label map int16 [1, X, Y, Z] in the orientation of the file: 0 background, else the object's number."""
        return self._ready().labels_of_file()

    def save(self, path: str | Path) -> None:
        """
        Write the segmentation, with the geometry of the image: uint8, or uint16 when an object's number needs it.

        Args:
            path: a ``.nii`` or ``.nii.gz`` file. It appears whole or not at all.
        """
        path = Path(path)
        if not is_nifti(path):
            raise ValueError(f"path must end with .nii or .nii.gz, got {path}.")
        labels = np.asarray(self.segmentation[0])
        labels = labels.astype(np.uint8 if labels.max() <= 255 else np.uint16)
        image = label_image(labels, geometry_of(self._ready().stored))
        with staged_files(path.parent) as stage:
            nib.save(image, stage / path.name)

    def _ready(self) -> SessionVolume:
        if self._volume is None:
            raise ValueError("there is no image: call set_image first.")
        return self._volume

    def _add(
        self,
        object_id: int,
        run: bool,
        points: Any = None,
        point_labels: Any = None,
        boxes: Any = None,
        mask: np.ndarray | None = None,
        space: str = "voxel",
    ) -> ChangedBox | None:
        volume = self._ready()
        if not 1 <= object_id <= _MOST_OBJECTS:
            raise ValueError(f"object_id must be from 1 to {_MOST_OBJECTS}, got {object_id}.")
        check_space(volume.stored, space)
        affine, shape = np.asarray(volume.stored.affine), tuple(volume.stored.shape[1:])
        checked = read_volume_prompts(
            points, point_labels, boxes, affine=affine, shape=shape, space=space, masked=() if mask is None else (1,)
        )
        masks = {} if mask is None else volume.displayed_mask(mask)
        prompts = volume.displayed_prompts(within_slices(checked, stored_axis(affine, volume.slices.axis)))
        self._interactions.append(Interaction(next(self._serials), object_id, prompts, masks))
        try:
            return self.predict() if run else None
        except BaseException:
            self._interactions.pop()
            raise

    def _in_memory(self, volume: torch.Tensor, axis: int, network: Promptable) -> MutableMapping[int, ImageEmbedding]:
        capacity = free_memory(volume.device) // 2 if self.memory is None else self.memory
        return RecentEmbeddings(capacity, temporary_embeddings)

    def _masks(self, interactions: Sequence[Interaction]) -> ObjectMasks:
        """Return the masks of one object: a function of what was said about it, the latest of which are remembered."""
        volume = self._ready()
        key = tuple(item.serial for item in interactions)
        if key not in self._found:
            given = combine(interactions)
            first, corrected = split_negatives(given, volume.slices.axis)
            masks = volume.propagate(self.propagation, first, self.direction)
            known = {index: volume.whole(masks[index]) for index in corrected if index in masks}
            if known:
                # Clicks on slices that the object does not reach stay without effect.
                again, _ = split_negatives(replace(given, masks={**known, **given.masks}), volume.slices.axis)
                masks = volume.propagate(self.propagation, again, self.direction)
            self._found[key] = masks
        self._found.move_to_end(key)
        return self._found[key]


def _stored(image: MetaTensor) -> MetaTensor:
    """Return a volume that was not read from a file, or was changed since: its array is what prompts speak of."""
    if image.ndim != 4 or image.shape[0] != 1:
        raise ValueError(f"image must be a volume [1, X, Y, Z], got shape {list(image.shape)}.")
    voxels, affine = image.as_tensor().float().cpu(), image.affine.double().cpu()
    check_voxels("given", voxels.numpy())
    meta = {"original_affine": affine.clone(), "spatial_shape": np.array(voxels.shape[1:])}
    return MetaTensor(voxels, affine=affine, meta={**meta, "modality": image.meta.get("modality", "")})

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Interactive segmentation of a volume: prompts come one after the other, and each answer says what changed."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor

from monai_synthfm.embeddings.cache import EmbeddingCacheOpener
from monai_synthfm.embeddings.recent import RecentEmbeddings, temporary_embeddings
from monai_synthfm.inferers.propagation.choice import choose_propagation
from monai_synthfm.inferers.propagation.propagation import Propagation
from monai_synthfm.inferers.session.history import Said
from monai_synthfm.inferers.session.interactions import NOTHING, Interaction, one_by_one
from monai_synthfm.inferers.session.record import inference_arguments, read_record, record_of
from monai_synthfm.inferers.session.shown_objects import ShownObjects
from monai_synthfm.inferers.session.steps import SessionSteps
from monai_synthfm.inferers.session.volume import ChangedBox, SessionVolume
from monai_synthfm.inferers.volume_inferer import EmbeddingStore
from monai_synthfm.io.nifti import check_voxels, is_nifti, label_image
from monai_synthfm.io.volume_files import check_space, geometry_of, load_image, load_mask
from monai_synthfm.networks import ImageEmbedding, Promptable
from monai_synthfm.prompts import Prompts
from monai_synthfm.prompts.volume_prompts import read_volume_prompts
from monai_synthfm.slices.planes import slicing_axis
from monai_synthfm.slices.slice_frame import SliceFrame
from monai_synthfm.transforms.medsam import MedSAMIntensity
from monai_synthfm.utils.atomic_files import staged_files
from monai_synthfm.utils.free_memory import free_memory

__all__ = ["InteractiveSession"]

_MOST_OBJECTS = 2**15 - 1

Masks = dict[int, torch.Tensor]


class InteractiveSession(SessionSteps):
    """
    Segment objects of one volume after another by prompts that come bit by bit.

    Each slice is encoded once, however many there are. Without ``cache_dir`` embeddings are kept in memory, and what
    does not fit goes to a temporary folder until the next image (:class:`~monai_synthfm.inferers.RecentEmbeddings`).
    A prompt for one object leaves the others as they are: objects are carried through the volume one by one, and where
    they overlap, the voxel goes to the one with the larger logit. What comes out depends on the prompts alone: after
    :meth:`undo` everything is as it was before, bit for bit.

    All clicks of an object count, its latest box, and on each slice its latest mask. Clicks on a slice that the object
    was only carried to correct the mask that the prompts before them brought there: the mask, and positive clicks deep
    inside, prompt the network besides. A negative one in its middle says that the object is not on that slice, and ends
    it there, as negative clicks alone on a slice do that come with the first prompts. Where it looks unlike the rest of
    the mask, as the sinus of a kidney does, it takes away what looks like it.

    With ``at_once=False`` prompts answer on their own slices, until :meth:`carry` takes all objects through the volume.
    After that, a prompt changes its own slices at once, and what the others show is :attr:`outdated` until the next
    :meth:`carry`. Prompts between two carries have no order, like those of one call; what they show on their slices
    stays.

    Args:
        network: a promptable network; it is moved to ``device`` and set to evaluation mode.
        axis: across which slices are cut: ``auto``, ``axial``, ``coronal``, ``sagittal``, or 0, 1 or 2, the axis of the
            stored array.
        direction: from the prompted slices: ``both``, ``forward`` (to higher slices of the stored array), ``backward``
            or ``none``.
        modality: how intensities are scaled to [0, 1], see :class:`~monai_synthfm.transforms.medsam.MedSAMIntensity`.
        propagation: how objects are carried on, see
            :func:`~monai_synthfm.inferers.propagation.choice.choose_propagation`; None = what suits the network.
        cache_dir: folder of an :class:`~monai_synthfm.inferers.EmbeddingCache` for one image, which stays; None keeps
            embeddings as said above.
        device: where the network runs.
        on_stale: when ``cache_dir`` belongs to another image, axis, network or other weights, ``raise`` refuses it and
            ``replace`` clears it.
        memory: bytes that embeddings may take in memory without ``cache_dir``; None = half of what is free on
            ``device`` when an image is set. In 1 GiB fit 256 slices of a SAM of 1024 pixels, or 64 of a SAM 2; the
            others take as much disk in the folder of temporary files (``TMPDIR``).
        at_once: carry objects through the volume with each prompt; otherwise when :meth:`carry` is called.
        window: of a CT: ``soft_tissue``, ``lung``, ``bone``, ``brain``, or (level, width) in HU; None = soft tissue.

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
        propagation: Propagation | str | None = None,
        cache_dir: str | Path | None = None,
        device: torch.device | str = "cpu",
        on_stale: str = "raise",
        memory: int | None = None,
        at_once: bool = True,
        window: str | Sequence[float] | None = None,
    ) -> None:
        super().__init__(direction, at_once)
        if memory is not None and memory < 0:
            raise ValueError(f"memory must be a number of bytes, got {memory}.")
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()
        self.axis = axis
        self.intensity = MedSAMIntensity(modality, window=window)
        self.propagation = choose_propagation(network, propagation)
        self.memory = memory
        self.store: EmbeddingStore = (
            self._in_memory if cache_dir is None else EmbeddingCacheOpener(cache_dir, on_stale=on_stale)
        )

    def set_image(self, image: str | Path | MetaTensor, series: str | int | None = None) -> None:
        """
        Begin with a volume; what was said about another one is forgotten.

        Args:
            image: file or folder of a DICOM series, see :func:`~monai_synthfm.io.volume_files.load_image`, or a
                MetaTensor [1, X, Y, Z] with its affine.
            series: number or SeriesInstanceUID of the DICOM series that is meant, in a folder with several.
        """
        if isinstance(image, MetaTensor) and series is not None:
            raise ValueError(f"series {series} is to be chosen in a folder of DICOM files, but image is a MetaTensor.")
        stored = _stored(image) if isinstance(image, MetaTensor) else load_image(image, series)
        axis = slicing_axis(self.axis, np.asarray(stored.affine), tuple(stored.shape[1:]))
        volume = SessionVolume(stored, axis, self.network, self.intensity, self.store, self.device)
        self._objects = ShownObjects(volume)
        self._history = self._beginning()

    def set_intensity(self, intensity: MedSAMIntensity) -> None:
        """
        Show the network the volume with another scale of intensities, and segment all objects again.

        Args:
            intensity: maps the volume to [0, 1], for example ``MedSAMIntensity("ct", window="lung")``.
        """
        before, old = self._objects, self._ready()
        volume = SessionVolume(old.stored, old.slices.frame.axis, self.network, intensity, self.store, self.device)
        self._objects = ShownObjects(volume)
        try:
            self.predict()
        except BaseException:
            self._objects = before
            raise
        self.intensity = intensity

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

        On one slice it shows the object there, and the object is carried on from it. Over several it is around the
        object, which is not carried out of it unless it is prompted there.

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
        return self._add(object_id, run, mask=self._inside(mask))

    @torch.no_grad()
    def encode(self, index: int) -> None:
        """
        Encode a slice that will be prompted soon.

        Args:
            index: of the slice.

        Raises:
            ValueError: when there is no such slice.
        """
        slices = self._ready().slices
        if not 0 <= index < len(slices):
            raise ValueError(f"slice {index} is not within slices 0 to {len(slices) - 1}.")
        slices.embedding(index)

    def set_prompts(
        self,
        points: Any = None,
        point_labels: Any = None,
        boxes: Any = None,
        mask: str | Path | np.ndarray | None = None,
        space: str = "voxel",
        run: bool = True,
    ) -> ChangedBox | None:
        """
        Say something else instead of all that was said so far, as ``inference.yaml`` takes it.

        Args:
            points: for each object a list of clicks.
            point_labels: for each object a list of labels.
            boxes: for each object its box, or ``[]``.
            mask: n where object n is known to be, 0 elsewhere: [X, Y, Z] in voxels of the stored array, or a file.
            space: of the coordinates; see :func:`~monai_synthfm.prompts.volume_prompts.read_volume_prompts`.
            run: segment now.

        Returns:
            Where the segmentation changed, or None when it did not.
        """
        volume = self._ready()
        shape = tuple(volume.stored.shape[1:])
        known = load_mask(mask, volume.stored) if isinstance(mask, (str, Path)) else mask
        known = np.zeros(shape, np.int16) if known is None else known
        if known.shape != shape:
            raise ValueError(f"mask must be {list(shape)}, got shape {list(known.shape)}.")
        numbers = [int(number) for number in np.unique(known) if number > 0]
        said: list[Interaction] = []
        if points is not None or boxes is not None:
            given = {"points": points, "point_labels": point_labels, "boxes": boxes}
            checked = self._read(**given, space=space, masked=numbers)
            for n in range(checked.num_objects):
                said += [self._interaction(n + 1, one) for one in one_by_one(checked.objects([n]))]
        elif not numbers:
            raise ValueError("nothing is prompted: give points with point_labels, boxes, or a mask.")
        for number in numbers:
            said.append(self._interaction(number, None, volume.cut(np.equal(known, number))))
        return self._say(said, run)

    def state_dict(self) -> dict[str, Any]:
        """Return all that was said, for JSON."""
        return record_of(self.history.now)

    def load_state_dict(self, state: Mapping[str, Any]) -> ChangedBox | None:
        """
        Say what was said in an earlier session about the same image.

        Args:
            state: that :meth:`state_dict` gave.

        Returns:
            Where the segmentation changed, or None when it did not.

        Raises:
            ValueError: when it is something else, or belongs to another image.
        """

        def build(number: int, points: Any, labels: Any, box: Any, masks: Masks, **how: Any) -> Interaction:
            given = None
            if points or box:
                given = self._read(points=[points], point_labels=[labels], boxes=[box], space="voxel")
            if not set(masks) <= set(range(len(self._ready().slices))):
                raise ValueError(f"masks lie on slices {sorted(masks)}, the volume has {len(self._ready().slices)}.")
            return self._interaction(number, given, masks, **how)

        read, reach = read_record(state, self._ready().slices, build)
        # the way back leads to steps of this session, with which those of the other one must not mix
        interactions = tuple(replace(item, step=self._step + item.step) for item in read)
        changed = self._go(self.history.added(Said(interactions, self._checked_reach(reach))))
        last = max((item.step for item in interactions), default=0)
        self._step = max(self._step, last + self.at_once)
        return changed

    def inference_arguments(self) -> tuple[dict[str, Any], np.ndarray | None]:
        """
        Return what has ``inference.yaml`` segment the same, see
        :func:`~monai_synthfm.inferers.session.record.inference_arguments`.

        Raises:
            ValueError: when objects are :attr:`outdated`, or cannot be stored in its terms.
        """
        arguments, mask = inference_arguments(self._ready(), self._shown.present(self.history.now), self.reach)
        window = {name: getattr(self.intensity, name) for name in ("modality", "level", "width")}
        return {**arguments, **window}, mask

    @property
    def image(self) -> MetaTensor:
        """The volume [1, X, Y, Z] as stored."""
        return self._ready().stored

    @property
    def frame(self) -> SliceFrame:
        """Across which axis of the stored array it is cut, and how its slices are shown."""
        return self._ready().slices.frame

    @property
    def scaling(self) -> dict[str, Any]:
        """Which intensities the network sees as 0 and 1, ``low`` and ``high``, and why."""
        return self._ready().scaling

    @property
    def voxel_counts(self) -> dict[int, int]:
        """How many voxels each object has in the segmentation."""
        return {number: voxels for number, voxels in sorted(dict(self._ready().counts).items()) if voxels}

    def labels(self, box: ChangedBox | None = None) -> np.ndarray:
        """
        Return the segmentation in a box.

        Args:
            box: as methods return it; None = everywhere.

        Returns:
            int16 [x, y, z], a copy.
        """
        return self._ready().labels(box)

    @property
    def segmentation(self) -> MetaTensor:
        """Label map int16 [1, X, Y, Z] in the orientation of the file: 0 background, else the object's number."""
        volume = self._ready()
        return MetaTensor(torch.from_numpy(volume.labels())[None], affine=volume.stored.affine.clone())

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
        if not 1 <= object_id <= _MOST_OBJECTS:
            raise ValueError(f"object_id must be from 1 to {_MOST_OBJECTS}, got {object_id}.")
        masked = () if mask is None else (1,)
        checked = self._read(points=points, point_labels=point_labels, boxes=boxes, space=space, masked=masked)
        masks = {} if mask is None else self._ready().cut(mask)
        return self._say([*self.interactions, self._interaction(object_id, checked, masks)], run)

    def _in_memory(
        self, volume: torch.Tensor, frame: SliceFrame, network: Promptable
    ) -> MutableMapping[int, ImageEmbedding]:
        capacity = free_memory(volume.device) // 2 if self.memory is None else self.memory
        return RecentEmbeddings(capacity, temporary_embeddings)

    def _read(self, space: str = "voxel", **given: Any) -> Prompts:
        """Read prompts as people give them into voxels of the stored array."""
        stored = self._ready().stored
        check_space(stored, space)
        return read_volume_prompts(
            **given, space=space, affine=np.asarray(stored.affine), shape=tuple(stored.shape[1:])
        )

    def _interaction(
        self, object_id: int, given: Prompts | None, masks: Masks | None = None, **how: Any
    ) -> Interaction:
        how = {"step": self._step, **how}
        return Interaction(next(self._serials), object_id, NOTHING if given is None else given, masks or {}, **how)

    def _inside(self, mask: str | Path | np.ndarray | torch.Tensor) -> np.ndarray:
        volume = self._ready()
        if isinstance(mask, (str, Path)):
            given = load_mask(mask, volume.stored)
        else:
            given = np.asarray(mask.cpu() if isinstance(mask, torch.Tensor) else mask)
        shape = tuple(volume.stored.shape[1:])
        inside = given.reshape(shape) > 0 if given.shape in (shape, (1, *shape)) else None
        if inside is None or not inside.any():
            raise ValueError(f"mask must be {list(shape)} and above 0 somewhere, got shape {list(given.shape)}.")
        return inside


def _stored(image: MetaTensor) -> MetaTensor:
    """Return a volume that was not read from a file, or was changed since: its array is what prompts speak of."""
    if image.ndim != 4 or image.shape[0] != 1:
        raise ValueError(f"image must be a volume [1, X, Y, Z], got shape {list(image.shape)}.")
    voxels, affine = image.as_tensor().float().cpu(), image.affine.double().cpu()
    check_voxels("given", voxels.numpy())
    meta = {"original_affine": affine.clone(), "spatial_shape": np.array(voxels.shape[1:])}
    return MetaTensor(voxels, affine=affine, meta={**meta, "modality": image.meta.get("modality", "")})

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""The interface of every promptable network: encode an image once, decode masks of many prompted objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from monai.utils import convert_to_dst_type, convert_to_tensor
from torch import nn
from torch.nn import functional as F

from monai_synthfm.networks.preprocessing import MASK_LOGIT, checked_image
from monai_synthfm.prompts.mask_corrections import correct_masks
from monai_synthfm.prompts.prompts import Prompts

__all__ = [
    "CARRY_DECODER",
    "ImageEmbedding",
    "Multimask",
    "NetworkSettings",
    "Promptable",
    "checked_multimask",
    "is_mask_alone",
    "is_single_click",
    "keep_masks_alone",
]

Multimask = Literal["never", "single_click", "always"]

CARRY_DECODER = "carry_decoder"
"""The part of a network that carries objects from slice to slice."""


@dataclass(frozen=True)
class ImageEmbedding:
    """Features of a batch of equally sized images, with the two sizes needed to map prompts and masks.

    Args:
        features: ``[B, C, h, w]``.
        original_size: (H, W) of the images in pixels.
        input_size: (H', W') of the images in the network's square input, before padding.
        high_resolution: finer feature maps ``[B, C_i, h_i, w_i]`` that a decoder uses besides (SAM 2), finest first.

    Example:
        >>> embedding = ImageEmbedding(torch.zeros(1, 256, 16, 16), original_size=(100, 80), input_size=(256, 205))
        >>> embedding.to("cpu").features.device.type
        'cpu'
    """

    features: torch.Tensor
    original_size: tuple[int, int]
    input_size: tuple[int, int]
    high_resolution: tuple[torch.Tensor, ...] = ()

    def to(self, device: torch.device | str) -> ImageEmbedding:
        """Return the embedding on ``device``."""
        finer = tuple(features.to(device) for features in self.high_resolution)
        return replace(self, features=self.features.to(device), high_resolution=finer)


@dataclass(frozen=True)
class NetworkSettings:
    """All settings of a network that change what comes out, as plain data for JSON; weights are not among them.

    Args:
        name: of the class, and of what it wraps.
        embeddings: settings that change what :meth:`Promptable.encode` gives: a cache of embeddings is signed by them.
        masks: settings that change only what is made of an embedding.
    """

    name: str
    embeddings: Mapping[str, Any]
    masks: Mapping[str, Any]


class Promptable(nn.Module, ABC):
    """A network that segments prompted objects: ``decode(encode(image), prompts)``.

    Of its masks per object, index 0 is the unambiguous one and the others are the alternatives for an ambiguous prompt,
    as in SAM.

    Args:
        multimask: when to answer with the alternative of best predicted IoU instead of the unambiguous mask:
            ``"never"``, ``"single_click"`` (objects prompted by exactly one click, neither box nor mask: SAM's own
            advice) or ``"always"``. The default is ``"never"`` because a decoder trained with a mask loss alone has no
            trained IoU head.

    ``combines_prompts`` says whether the decoder is known to read masks, and a box with clicks. It is False once the
    decoder was drawn anew or loaded from a checkpoint that does not say so: most trainings prompt with clicks or a box
    alone. None means that nobody said so, see :class:`~monai_synthfm.networks.pretrained.PretrainedPromptable`.
    ``weight_files`` are the files that its weights were read from, in that order, for reports. ``carry_decoder`` is a
    second decoder that goes on from the mask of the neighbouring slice, or None.

    Raises:
        ValueError: when ``multimask`` is none of these.
    """

    combines_prompts: bool | None = True
    weight_files: tuple[Path, ...] = ()

    def __init__(self, multimask: Multimask = "never") -> None:
        super().__init__()
        self.multimask = checked_multimask(multimask)
        self.carry_decoder: nn.Module | None = None
        self._frozen: tuple[str, ...] = ()

    @property
    def core(self) -> Promptable:
        """The network whose weights are used: itself, or what it wraps."""
        return self

    @abstractmethod
    def describe(self) -> NetworkSettings:
        """Return all settings that change embeddings or masks, those of networks within among them."""

    @abstractmethod
    def encode(self, image: torch.Tensor) -> ImageEmbedding:
        """Compute the features that all prompts of an image share.

        Args:
            image: ``[B, 1 or 3, H, W]``, floating point in [0, 1], any size. Resizing, padding and normalisation are
                the network's.
        """

    @abstractmethod
    def predict_masks(self, embedding: ImageEmbedding, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict the unambiguous mask and its alternatives.

        Args:
            embedding: of B images.
            prompts: N objects in each of the B images, in pixels of the original image.

        Returns:
            float32 logits ``[B, N, 1 + M, h, w]`` at low resolution and predicted IoU ``[B, N, 1 + M]``; index 0 is the
            unambiguous mask.
        """

    @abstractmethod
    def postprocess(self, logits: torch.Tensor, embedding: ImageEmbedding) -> torch.Tensor:
        """Bring low-resolution logits ``[B, N, h, w]`` to the size of the original image ``[B, N, H, W]``."""

    @abstractmethod
    def mask_prompt(self, masks: torch.Tensor, embedding: ImageEmbedding) -> torch.Tensor:
        """Bring masks of the original image to the network's frame, the way back of :meth:`postprocess`.

        Args:
            masks: ``[N, H, W]`` booleans, or logits, above 0 inside.
            embedding: of that image.

        Returns:
            low-resolution logits ``[N, 1, h, w]`` as :class:`Prompts` takes them.
        """

    def with_masks(
        self, prompts: Prompts, masks: torch.Tensor, embedding: ImageEmbedding, image: torch.Tensor | None = None
    ) -> Prompts:
        """Add known masks to clicks and boxes, as these correct them
        (:func:`~monai_synthfm.prompts.mask_corrections.correct_masks`).

        Args:
            prompts: of N objects, in pixels of the original image.
            masks: their masks there, booleans ``[N, H, W]``.
            embedding: of that image.
            image: ``[1, C, H, W]``; None = how parts of masks look is not heeded.
        """
        corrected, left = correct_masks(prompts, masks, None if image is None else image[0])
        return replace(corrected, masks=self.mask_prompt(left, embedding))

    def decode(self, embedding: ImageEmbedding, prompts: Prompts, multimask: Multimask | None = None) -> torch.Tensor:
        """Predict one mask per object; an object that is prompted by a mask alone is this mask.

        Decoders do not give such a mask back: they are trained with masks beside clicks or a box.

        Args:
            embedding: of B images.
            prompts: N objects in each of the B images, in pixels of the original image.
            multimask: as in the constructor; None takes the constructor's value.

        Returns:
            logits ``[B, N, h, w]`` at low resolution.
        """
        multimask = self.multimask if multimask is None else checked_multimask(multimask)
        logits, iou = self.predict_masks(embedding, prompts)
        if multimask == "never":
            return keep_masks_alone(logits[:, :, 0], prompts)
        best = iou[:, :, 1:].argmax(dim=-1) + 1
        if multimask == "single_click":
            best = best * is_single_click(prompts.batched()).to(best.device)
        index = best[:, :, None, None, None].expand(-1, -1, 1, *logits.shape[-2:])
        return keep_masks_alone(logits.gather(2, index).squeeze(2), prompts)

    def carry(self, embedding: ImageEmbedding, prompts: Prompts) -> torch.Tensor:
        """Predict the masks of objects that are prompted by their masks on the neighbouring slice.

        Args:
            embedding: of B slices.
            prompts: as :class:`~monai_synthfm.networks.mask_prompter.MaskPrompter` makes them.

        Returns:
            logits ``[B, N, h, w]`` at low resolution, of the decoder for that where there is one; it may answer with
            nothing where an object is no more.
        """
        return self.decode(embedding, prompts)

    def forward(
        self,
        image: torch.Tensor,
        points: torch.Tensor | None = None,
        point_labels: torch.Tensor | None = None,
        boxes: torch.Tensor | None = None,
        masks: torch.Tensor | None = None,
        sizes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Segment the prompted objects; with no prompt at all, the object at the image's centre.

        ``torch.jit.trace`` and ``torch.export`` follow it for fixed sizes, numbers of objects and of clicks, where
        every click and box is given: what follows values, padding and checks of them, is not in a trace.

        Args:
            image: ``[B, 1 or 3, H, W]`` in [0, 1].
            points: clicks ``[B, N, K, 2]`` as x, y in pixels of ``image``.
            point_labels: ``[B, N, K]``, 1 positive, 0 negative, -1 padding.
            boxes: ``[B, N, 4]`` as x0 y0 x1 y1 in pixels; a row of NaN means no box.
            masks: low-resolution logits ``[B, N, 1, h, w]`` of an earlier call of ``decode`` or of ``mask_prompt``;
                where an object has neither click nor box, its mask is the answer.
            sizes: height and width ``[B, 2]`` of each image where a batch pads them right and below; the network sees
                each without that, and its answer is -10 there.

        Returns:
            logits ``[B, N, H, W]``; a MetaTensor with the image's metadata when ``image`` is one.

        Raises:
            ValueError: when the image, a prompt or a size is not as above.
        """
        given = {"points": points, "point_labels": point_labels, "boxes": boxes, "masks": masks}
        prompts = Prompts(**{name: _plain(value) for name, value in given.items() if value is not None})
        logits = self._segment(image, prompts) if sizes is None else self._segment_padded(image, prompts, sizes)
        return convert_to_dst_type(logits, image, dtype=logits.dtype)[0]

    def _segment(self, image: torch.Tensor, prompts: Prompts) -> torch.Tensor:
        if prompts.is_empty:
            prompts = _centre_click(checked_image(image))
        embedding = self.encode(image)
        return self.postprocess(self.decode(embedding, prompts), embedding)

    def _segment_padded(self, image: torch.Tensor, prompts: Prompts, sizes: torch.Tensor) -> torch.Tensor:
        """Segment images of the same size together."""
        sizes, (height, width) = _plain(sizes).cpu(), image.shape[2:]
        largest = torch.tensor([height, width])
        if sizes.shape != (len(image), 2) or not ((sizes >= 1) & (sizes <= largest)).all():
            raise ValueError(
                f"sizes must be [B, 2] = [{len(image)}, 2], each from 1 to the {height} x {width} pixels of the padded "
                f"images, got {sizes.tolist()}."
            )
        rows, parts = [], []
        for size in sizes.unique(dim=0):
            same = (sizes == size).all(dim=1).nonzero().flatten().tolist()
            h, w = size.tolist()
            logits = self._segment(_plain(image)[same, :, :h, :w], prompts.images(same))
            parts.append(F.pad(logits, (0, width - w, 0, height - h), value=-MASK_LOGIT))
            rows += same
        return torch.cat(parts)[torch.tensor(rows).argsort().to(image.device)]

    def __prepare_scriptable__(self) -> Promptable:
        """Say to ``torch.jit.script``, before it tries, that it cannot compile the network.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            f"{type(self).__name__} cannot be compiled to TorchScript, as ckpt_export of monai.bundle wants it: "
            "export_onnx.yaml of the bundle synthfm_sam writes ONNX files instead."
        )

    def freeze(self, *names: str) -> None:
        """Exclude sub-modules from training: no gradients, and evaluation mode whatever ``train()`` says.

        Args:
            names: sub-modules by dotted name, for example ``"image_encoder"`` or
                ``"mask_decoder.iou_prediction_head"``.

        Raises:
            ValueError: when there is no such sub-module.
        """
        for name in names:
            try:
                self.get_submodule(name).requires_grad_(False)
            except AttributeError:
                known = [child for child, _ in self.named_children()]
                raise ValueError(
                    f"cannot freeze {name!r}: no such sub-module; the top-level ones are {known}."
                ) from None
        self._frozen += names
        self.train(self.training)

    def train(self, mode: bool = True) -> Promptable:
        """Set training mode, except for what is frozen."""
        super().train(mode)
        for name in self._frozen:
            self.get_submodule(name).eval()
        return self


def checked_multimask(value: str) -> Multimask:
    """Return ``value`` after checking that it is one of the choices."""
    choices: Sequence[Multimask] = get_args(Multimask)
    for choice in choices:
        if value == choice:
            return choice
    raise ValueError(f"multimask must be one of {list(choices)}, got {value!r}.")


def is_single_click(prompts: Prompts) -> torch.Tensor:
    """Return which objects ``[B, N]`` are prompted by one click and nothing else."""
    if prompts.point_labels is None or prompts.masks is not None:
        return torch.zeros(1, 1, dtype=torch.bool)
    single = (_plain(prompts.point_labels) >= 0).sum(dim=-1) == 1
    return single if prompts.boxes is None else single & ~prompts.has_box


def is_mask_alone(prompts: Prompts) -> torch.Tensor:
    """Return which objects ``[B, N]`` are prompted by a mask and nothing else."""
    if prompts.masks is None:
        return torch.zeros(1, 1, dtype=torch.bool)
    alone = (_plain(prompts.masks) > 0).flatten(2).any(dim=-1)
    if prompts.point_labels is not None:
        alone = alone & (_plain(prompts.point_labels) < 0).all(dim=-1).to(alone.device)
    return alone if prompts.boxes is None else alone & ~prompts.has_box.to(alone.device)


def keep_masks_alone(logits: torch.Tensor, prompts: Prompts) -> torch.Tensor:
    """Replace the answer to a mask that nothing else prompts with by this mask.

    Args:
        logits: answers ``[B, N, h, w]``.
        prompts: of these objects, masks in the same pixels.

    Example:
        >>> mask = torch.tensor([[[[-10.0, 10.0]]]])
        >>> keep_masks_alone(torch.zeros(1, 1, 1, 2), Prompts(masks=mask)).tolist()
        [[[[-10.0, 10.0]]]]
    """
    prompts = prompts.batched()
    if prompts.masks is None:
        return logits
    alone = is_mask_alone(prompts)[..., None, None].to(logits.device)
    return torch.where(alone, _plain(prompts.masks)[:, :, 0].to(logits), logits)


def _plain(value: torch.Tensor) -> torch.Tensor:
    """Drop the metadata of a MetaTensor, which does not survive indexing by a tensor."""
    tensor: torch.Tensor = convert_to_tensor(value, track_meta=False)
    return tensor


def _centre_click(image: torch.Tensor) -> Prompts:
    batch, _, height, width = image.shape
    centre = torch.tensor([(width - 1) / 2, (height - 1) / 2], device=image.device)
    return Prompts(
        points=centre.expand(batch, 1, 1, 2),
        point_labels=torch.ones(batch, 1, 1, dtype=torch.int64, device=image.device),
    )

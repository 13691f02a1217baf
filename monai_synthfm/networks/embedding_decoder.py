# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A promptable network that starts from stored features instead of images, so that its decoder trains alone."""

from __future__ import annotations

from dataclasses import replace

import torch
from monai.utils import convert_to_tensor
from torch import nn

from monai_synthfm.networks.error_clicks import draw_error_clicks
from monai_synthfm.networks.mask_augmentation import disturbed_masks
from monai_synthfm.networks.preprocessing import MASK_LOGIT
from monai_synthfm.networks.promptable import ImageEmbedding, Promptable
from monai_synthfm.prompts.prompts import Prompts
from monai_synthfm.utils.switches import reads_switches

__all__ = ["EmbeddingDecoder"]


@reads_switches
class EmbeddingDecoder(nn.Module):
    """Decode prompts from features; all of it happens in ``forward``, where data-parallel wrappers look.

    Args:
        network: whose features and decoder.
        image_size: side in pixels of the square images, which is that of the network's input.
        upsample: give logits in the images' size instead of the decoder's low resolution.
        alternatives: give the alternative masks and predicted IoU, too, which the loss of an ambiguous prompt needs.
        refine_prob: probability that a batch in training is decoded twice, first for masks that become, disturbed as in
            :func:`~monai_synthfm.networks.mask_augmentation.disturbed_masks`, another prompt of the second time. So the
            decoder learns to go on from a mask of its own or of the neighbouring slice. The draws are from torch's
            global generator.
        correct_prob: probability that another batch is decoded twice, first for masks on whose errors one more click of
            the second time lies, see :func:`~monai_synthfm.networks.error_clicks.draw_error_clicks`; in half of these
            batches the masks are prompts, too. It needs ``target``.

    Raises:
        ValueError: when both ``upsample`` and ``alternatives`` are asked for, the probabilities are none or add up to
            more than 1, or a batch to be corrected in training has no ``target``.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> decoder = EmbeddingDecoder(MobileSam(image_size=64), image_size=64)
        >>> click = {"points": torch.full((1, 2, 1, 2), 30.0), "point_labels": torch.ones(1, 2, 1)}
        >>> decoder(torch.zeros(1, 256, 4, 4, dtype=torch.float16), **click).shape
        torch.Size([1, 2, 16, 16])
    """

    def __init__(
        self,
        network: Promptable,
        image_size: int,
        upsample: bool = False,
        alternatives: bool = False,
        refine_prob: float = 0.0,
        correct_prob: float = 0.0,
    ) -> None:
        super().__init__()
        if upsample and alternatives:
            raise ValueError("upsample is for one mask of an object: it cannot go with alternatives.")
        for name, probability in (("refine_prob", refine_prob), ("correct_prob", correct_prob)):
            if not 0.0 <= probability <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], got {probability}.")
        if refine_prob + correct_prob > 1.0 + 1e-9:
            raise ValueError(
                f"refine_prob and correct_prob must add up to at most 1, got {refine_prob} and {correct_prob}."
            )
        self.network = network
        self.image_size = image_size
        self.upsample = upsample
        self.alternatives = alternatives
        self.refine_prob = refine_prob
        self.correct_prob = correct_prob

    def forward(
        self,
        features: torch.Tensor,
        points: torch.Tensor | None = None,
        point_labels: torch.Tensor | None = None,
        boxes: torch.Tensor | None = None,
        masks: torch.Tensor | None = None,
        target: torch.Tensor | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Segment the prompted objects.

        Args:
            features: ``[B, C, h, w]`` of ``network.encode``, in any floating point type.
            points: as those after it, see :class:`Promptable`.
            point_labels: ``[B, N, K]``.
            boxes: ``[B, N, 4]``.
            masks: ``[B, N, 1, h, w]``.
            target: true masks or shares of pixels ``[B, N, h', w']``, for corrections in training.

        Returns:
            logits ``[B, N, h', w']`` at low resolution, or ``[B, N, image_size, image_size]`` with ``upsample``; with
            ``alternatives`` those of all masks and their IoU, see :meth:`Promptable.predict_masks`.
        """
        size = (self.image_size, self.image_size)
        embedding = ImageEmbedding(features.float(), original_size=size, input_size=size)
        prompts = Prompts(points, point_labels, boxes, masks)
        if self.training and self.correct_prob and target is None:
            raise ValueError("correct_prob needs the target of each batch: name it in extra_keys of prepare_batch.")
        if self.training and (self.refine_prob or self.correct_prob) and masks is None:
            drawn = float(torch.rand(()))
            if drawn < self.refine_prob:
                prompts = replace(prompts, masks=disturbed_masks(self._answer(embedding, prompts))[:, :, None])
            elif drawn < self.refine_prob + self.correct_prob and target is not None:
                prompts = self._corrected(embedding, prompts, convert_to_tensor(target, track_meta=False) > 0.5)
        if self.alternatives:
            return self.network.predict_masks(embedding, prompts)
        logits = self.network.decode(embedding, prompts)
        return self.network.postprocess(logits, embedding) if self.upsample else logits

    @torch.no_grad()
    def _answer(self, embedding: ImageEmbedding, prompts: Prompts) -> torch.Tensor:
        return self.network.predict_masks(embedding, prompts)[0][:, :, 0]

    def _corrected(self, embedding: ImageEmbedding, prompts: Prompts, target: torch.Tensor) -> Prompts:
        """Add a click on the error of the first answer, and in half of the cases this answer."""
        earlier = self._answer(embedding, prompts)
        point, label = draw_error_clicks(earlier.flatten(0, 1) > 0, target.flatten(0, 1), self.image_size, deep=True)
        shape = earlier.shape[:2]
        point, label = point.unflatten(0, shape), label.unflatten(0, shape)
        if prompts.points is not None and prompts.point_labels is not None:
            point = torch.cat([prompts.points.to(point), point], dim=2)
            label = torch.cat([prompts.point_labels.to(label), label], dim=2)
        masks = earlier.clamp(-MASK_LOGIT, MASK_LOGIT)[:, :, None] if float(torch.rand(())) < 0.5 else None
        return Prompts(point, label, prompts.boxes, masks)

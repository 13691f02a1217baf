# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A dataset of generated volumes whose content depends on seed, epoch and index alone."""

from __future__ import annotations

from monai_synthfm.data.generated_dataset import GeneratedDataset
from monai_synthfm.transforms.synthfm_3d import RandSynthFM3D

__all__ = ["SynthFM3DDataset"]


class SynthFM3DDataset(GeneratedDataset):
    """Generate SynthFM-3D volumes on the fly: sample i of an epoch is the same for any number of workers and ranks and
    after a resume.

    Args:
        length: samples in an epoch; the paper uses 10,000 volumes.
        spatial_size: width, height and number of slices.
        seed: seed of the whole dataset.
        transform: applied to each dictionary; random ones are seeded for the sample too.
        generator: makes image and label; ``RandSynthFM3D(spatial_size)`` if None. Its ``spatial_size`` must agree.

    Returns:
        ``dataset[i]`` is a dictionary with ``image`` ``[1, W, H, slices]`` float32 in [0, 1] and ``label`` ``[1, W, H,
        slices]`` int64 instances, passed through ``transform``.

    Raises:
        ValueError: when ``length`` is not positive, ``seed`` negative, or the generator has another size.
        IndexError: when an index is outside the epoch.

    Source: SynthFM-3D (10,000 volumes); their size is not public.

    Example:
        >>> dataset = SynthFM3DDataset(length=4, spatial_size=(32, 32, 6), seed=0)
        >>> first = dataset[0]["image"]
        >>> bool((first == dataset[0]["image"]).all()), bool((first == dataset[1]["image"]).all())
        (True, False)
    """

    generator_type = RandSynthFM3D

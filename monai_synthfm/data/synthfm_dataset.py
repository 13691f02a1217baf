# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A dataset of generated samples whose content depends on seed, epoch and index alone."""

from __future__ import annotations

from monai_synthfm.data.generated_dataset import GeneratedDataset
from monai_synthfm.transforms.synthfm import RandSynthFM

__all__ = ["SynthFMDataset"]


class SynthFMDataset(GeneratedDataset):
    """Generate SynthFM samples on the fly: sample i of an epoch is the same for any number of workers and ranks and
    after a resume.

    Args:
        length: samples in an epoch; the paper uses 10,000.
        spatial_size: height and width in pixels; the paper uses 1024 x 1024.
        seed: seed of the whole dataset.
        transform: applied to each dictionary, for example ``RandPromptsd``; random ones are seeded for the sample too.
        generator: makes image and label; ``RandSynthFM(spatial_size)`` if None. Its ``spatial_size`` must agree.

    Returns:
        ``dataset[i]`` is a dictionary with ``image`` ``[1, H, W]`` float32 in [0, 1] and ``label`` ``[1, H, W]`` int64
        instances, passed through ``transform``.

    Raises:
        ValueError: when ``length`` is not positive, ``seed`` negative, or the generator has another size.
        IndexError: when an index is outside the epoch.

    Source: SynthFM, section 3.3 (images generated on the fly, 10,000 an epoch).

    Example:
        >>> dataset = SynthFMDataset(length=4, spatial_size=(64, 64), seed=0)
        >>> first = dataset[0]["image"]
        >>> bool((first == dataset[0]["image"]).all()), bool((first == dataset[1]["image"]).all())
        (True, False)
    """

    generator_type = RandSynthFM

# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What the datasets of generated images and volumes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from monai_synthfm.data.seeded_dataset import SeededDataset
from monai_synthfm.data.transform_seeds import check_seedable

__all__ = ["GeneratedDataset"]


class GeneratedDataset(SeededDataset):
    """Base of datasets that generate their samples on the fly: sample i of an epoch is the same for any number of
    workers and ranks and after a resume.

    Args:
        length: samples in an epoch.
        spatial_size: of the samples.
        seed: seed of the whole dataset.
        transform: applied to each dictionary; random ones are seeded for the sample too.
        generator: makes image and label; a new one of ``generator_type`` if None. Its ``spatial_size`` must agree.

    Raises:
        ValueError: when ``length`` is not positive, ``seed`` negative, or the generator has another size.
    """

    generator_type: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        length: int,
        spatial_size: Sequence[int],
        seed: int = 0,
        transform: Callable[[dict[str, Any]], Any] | None = None,
        generator: Any = None,
    ) -> None:
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}.")
        super().__init__(seed, transform)
        self.length = length
        self.generator = type(self).generator_type(spatial_size) if generator is None else generator
        check_seedable(self.generator, "generator")
        if self.generator.spatial_size != tuple(spatial_size):
            raise ValueError(
                f"spatial_size {tuple(spatial_size)} is not the generator's {self.generator.spatial_size}."
            )

    def __len__(self) -> int:
        return self.length

    @property
    def params(self) -> Any:
        """Parameters of the sample that this thread made last, from which ``generator.replay`` makes it again."""
        return self.copies.of(self.generator).params

    def make_sample(self, index: int, seed: int) -> dict[str, Any]:
        """Generate one sample."""
        image, label = self.copies.of(self.generator).set_random_state(seed=seed)()
        return {"image": image, "label": label}

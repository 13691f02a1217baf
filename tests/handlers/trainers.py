# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A tiny training for the tests of handlers."""

from __future__ import annotations

import torch
from monai.engines import SupervisedTrainer


def make_trainer(
    handlers: list, network: torch.nn.Module, optimizer: torch.optim.Optimizer, epochs: int = 2
) -> SupervisedTrainer:
    generator = torch.Generator().manual_seed(0)
    data = [
        {"image": torch.rand(3, generator=generator), "label": torch.rand(1, generator=generator)} for _ in range(4)
    ]
    return SupervisedTrainer(
        device="cpu",
        max_epochs=epochs,
        train_data_loader=torch.utils.data.DataLoader(data, batch_size=2),
        network=network,
        optimizer=optimizer,
        loss_function=torch.nn.functional.mse_loss,
        train_handlers=handlers,
        decollate=False,
    )

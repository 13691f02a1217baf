# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""What MONAI's federated learning lacks: clients that give back what they trained."""

from __future__ import annotations

from monai_synthfm.fl.federated_training import FederatedTraining

__all__ = ["FederatedTraining"]

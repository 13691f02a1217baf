# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Federated training of the bundles, whose best model is what this client trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems, ModelType, WeightType
from monai.fl.utils.exchange_object import ExchangeObject

from monai_synthfm.networks.weights.files import load_state

__all__ = ["FederatedTraining"]


class FederatedTraining(MonaiAlgo):
    """
    Train a bundle as a client of a federation, and give what this training wrote.

    MONAI's own :class:`~monai.fl.client.MonaiAlgo` looks for the best model in ``models/model.pt`` of the bundle. There
    lies the decoder that ships with it; trainings write to their ``output_dir``. The final model is the current one.

    Args:
        bundle_root: folder of the bundle.
        config_train_filename: training config, or several, relative to ``bundle_root``.
        config_evaluate_filename: config of the evaluation, which the training config has in it; None leaves it out.
        train_kwargs: options of the training config; ``{"output_dir": ...}`` says where this client writes.
        eval_kwargs: options of the evaluation config; None takes those of the training.
        arguments: further ones of :class:`~monai.fl.client.MonaiAlgo`, such as ``local_epochs``.

    Raises:
        FileExistsError: by :meth:`initialize`, when another training left its best model in ``output_dir``.
        ValueError: by :meth:`initialize`, when the training is to resume, which would undo what the federation sends;
            by :meth:`get_weights`, when there is no best model yet.

    Example:
        >>> from monai_synthfm import bundle_path
        >>> client = FederatedTraining(str(bundle_path("synthfm_sam")), train_kwargs={"output_dir": "runs/client_1"})
        >>> client.config_train_filename
        'configs/train.json'
    """

    def __init__(
        self,
        bundle_root: str,
        config_train_filename: str | list[str] = "configs/train.json",
        config_evaluate_filename: str | list[str] | None = "configs/train.json",
        train_kwargs: dict[str, Any] | None = None,
        eval_kwargs: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(
            bundle_root,
            config_train_filename=config_train_filename,
            config_evaluate_filename=config_evaluate_filename,
            train_kwargs=dict(train_kwargs or {}),
            eval_kwargs=dict((train_kwargs if eval_kwargs is None else eval_kwargs) or {}),
            **arguments,
        )

    def initialize(self, extra: dict[str, Any] | None = None) -> None:
        """Build the training, see :class:`~monai.fl.client.MonaiAlgo`."""
        super().initialize(extra)
        parser = self.train_workflow.parser
        self._best = Path(parser.get_parsed_content("output_dir")).absolute() / "model.pt"
        if parser.get_parsed_content("resume"):
            raise ValueError("resume is set: it would undo the weights that the federation sends, leave it out.")
        if self._best.is_file():
            raise FileExistsError(f"{self._best} is of another training: name another output_dir.")
        network, trained = parser.get_parsed_content("network_def"), self.trainer.network
        (name,) = [name for name, module in trained.named_modules() if module is network]
        self._prefix = f"{name}." if name else ""

    def get_weights(self, extra: dict[str, Any] | None = None) -> ExchangeObject:
        """Return current weights, or those of the best or final model, all under the names that the training has."""
        extra = {} if extra is None else extra
        kind = extra.get(ExtraItems.MODEL_TYPE)
        if kind is None:
            return super().get_weights(extra)
        if kind == ModelType.FINAL_MODEL:
            weights = {name: value.cpu() for name, value in self.trainer.network.state_dict().items()}
        elif self._best.is_file():
            weights = {f"{self._prefix}{name}": value for name, value in load_state(self._best).items()}
        else:
            raise ValueError(f"there is no best model yet: this training has not written {self._best}.")
        found = ExchangeObject(weights=weights, weight_type=WeightType.WEIGHTS, statistics={})
        for change in self.post_weight_filters or []:
            found = change(found, extra)
        return found

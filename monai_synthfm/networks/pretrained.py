# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Promptable networks that start from published weights, in whole or in parts, or with a decoder from scratch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any

import torch
from torch import nn

from monai_synthfm.networks.promptable import Promptable
from monai_synthfm.networks.state_settings import COMBINES_PROMPTS, settings_of, with_settings
from monai_synthfm.networks.weights.export_decoder import ENCODERS
from monai_synthfm.networks.weights.files import find_weights, read_weights
from monai_synthfm.networks.weights.fingerprint import ENCODER_SHA256, encoder_sha256

__all__ = ["PretrainedPromptable"]


class PretrainedPromptable(Promptable):
    """A promptable network whose state dict has its publisher's keys.

    Whether the decoder combines prompts travels in the metadata of the state dict, which ``torch.save`` keeps beside
    the tensors: no key is added, so that the publisher's own code loads the state dict, and every way that hands it on
    whole (``load_state_dict``, checkpoints of ignite and MONAI) hands this on, too. After a state dict without that
    word has brought another decoder, ``combines_prompts`` is None, and whoever depends on it has to ask.

    Weights are float32. For less memory and time use ``torch.autocast``.
    """

    @property
    @abstractmethod
    def decoder(self) -> nn.Module:
        """The mask decoder."""

    @abstractmethod
    def _new_decoder(self) -> nn.Module:
        """Build another mask decoder with weights from torch's global generator."""

    def reset_decoder(self, seed: int | None = None) -> None:
        """Draw the mask decoder's weights anew, as its publisher's constructor would.

        Args:
            seed: of the weights; torch's global generators are then left as they were. None draws from the global
                generator.
        """
        if seed is None:
            fresh = self._new_decoder()
        else:
            with torch.random.fork_rng(devices=[]):
                # Not torch.manual_seed, which would also seed the generators of accelerators.
                torch.random.default_generator.manual_seed(seed)
                fresh = self._new_decoder()
        self.decoder.load_state_dict(fresh.state_dict())
        self.carry_decoder = None
        self.combines_prompts = False

    def load_pretrained(self, name_or_file: str | Path) -> None:
        """Load weights of the whole network strictly.

        Args:
            name_or_file: name in :data:`monai_synthfm.networks.weights.files.WEIGHTS` or path of the weights.

        Raises:
            ValueError: when they do not fit, or are for another ``preprocessing``.
            FileNotFoundError: when they are neither a file nor a known name.
        """
        path = find_weights(name_or_file)
        state, settings = read_weights(path)
        self._check_preprocessing(settings, path)
        self._load_whole(self.own_keys(state), path)
        self.weight_files += (path,)
        # published weights have no settings, and read whatever prompts there are
        self.combines_prompts = _word(settings) if settings else True

    def load_checkpoint(self, path: str | Path, any_preprocessing: bool = False) -> None:
        """Load a state dict of this network or of some of its parts (say the mask decoder), each part strictly.

        Args:
            path: file written by ``torch.save`` or :func:`~monai_synthfm.networks.export_decoder`.
            any_preprocessing: take weights that were trained with another ``preprocessing``, to train them further.

        Raises:
            ValueError: when keys are unknown, a part is incomplete, or the file is for another ``preprocessing``.
        """
        state, settings = read_weights(path)
        if not any_preprocessing:
            self._check_preprocessing(settings, path)
        state = self.own_keys(state)
        given = {key.partition(".")[0] for key in state}
        self._make_room(given)
        modules = dict(self.named_children())
        parts = [*modules, *(name for name, _ in self.named_parameters(recurse=False))]
        unknown = sorted(key for key in state if key.partition(".")[0] not in parts)
        if unknown:
            raise ValueError(f"{path}: unknown keys {unknown[:3]} ({len(unknown)} in all); expected those of {parts}.")
        for name in (part for part in modules if part in given):
            prefix = f"{name}."
            part = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
            _load_strictly(modules[name], part, path)
            if modules[name] is self.decoder:
                self.combines_prompts = _word(settings)
        for name in sorted(given - modules.keys()):
            parameter = self.get_parameter(name)
            if parameter.shape != state[name].shape:
                raise ValueError(
                    f"{path}: {name} has shape {tuple(state[name].shape)}, expected {tuple(parameter.shape)}."
                )
            with torch.no_grad():
                parameter.copy_(state[name])
        self.weight_files += (Path(path),)

    def own_keys(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Give published weights the keys that they have in this network, their own unless it says otherwise."""
        return dict(state)

    def _make_room(self, parts: Set[str]) -> None:
        """Get, or drop, the parts that only some weights have, before weights with these ``parts`` are loaded."""

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load a state dict as any module, and strictly also that of a trained decoder alone, when it says so.

        A decoder that was passed on without its encoders (:func:`~monai_synthfm.networks.export_decoder`) is complete
        with those that it was trained on. A network that has them takes it, another one refuses it.

        Args:
            state_dict: of a whole network, or the content of a file of a trained decoder.
            strict: every key must be there and known; otherwise what is there is loaded, whatever it says.
            assign: as in torch.

        Raises:
            ValueError: when the decoder is for another image encoder, input size or preprocessing than this network's.
            RuntimeError: when keys or shapes do not fit.
        """
        return super().load_state_dict(self._completed(state_dict) if strict else state_dict, strict, assign)

    def _completed(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add this network's encoders to a decoder that was trained on them."""
        settings = settings_of(state)
        if ENCODER_SHA256 not in settings or any(key.startswith("image_encoder.") for key in state):
            return state
        name, own = type(self).__name__, self.describe()
        asked = {key: settings[key] for key in ("image_size", "preprocessing") if key in settings}
        for key, value in asked.items():
            if own.embeddings.get(key, value) != value:
                raise ValueError(f"this decoder was trained with {key}={value!r}, {name} has {own.embeddings[key]!r}.")
        encoder: nn.Module = self.get_submodule("image_encoder")
        if encoder_sha256(encoder) != settings[ENCODER_SHA256]:
            raise ValueError(
                f"this decoder was trained on another image encoder than that of this {name}: "
                "open_network makes the right network of its file."
            )
        encoders = {key: value for key, value in self.state_dict().items() if key.startswith(ENCODERS)}
        return with_settings({**encoders, **state}, settings)

    def _load_whole(self, state: dict[str, torch.Tensor], path: str | Path) -> None:
        """Load the weights of the whole network strictly."""
        _load_strictly(self, state, path)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        metadata = getattr(destination, "_metadata", None)  # a caller's own dictionary has none
        if metadata is not None:
            metadata[prefix[:-1]][COMBINES_PROMPTS] = self.combines_prompts

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, local_metadata: Mapping[str, Any], *args: Any
    ) -> None:
        own = (key[len(prefix) :] for key in state_dict if key.startswith(prefix))
        self._make_room({key.partition(".")[0] for key in own})
        if COMBINES_PROMPTS in local_metadata:
            self.combines_prompts = local_metadata[COMBINES_PROMPTS]
        elif self._has_other_decoder(state_dict, prefix):
            self.combines_prompts = None
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    def _has_other_decoder(self, state_dict: Mapping[str, Any], prefix: str) -> bool:
        name = next(name for name, module in self.named_children() if module is self.decoder)
        own = {f"{prefix}{name}.{key}": value for key, value in self.decoder.state_dict().items()}
        return any(key in state_dict and not _equal(state_dict[key], value) for key, value in own.items())

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> PretrainedPromptable:
        dtype = fn(torch.zeros(1)).dtype
        if dtype != torch.float32:
            raise TypeError(
                f"the weights of {type(self).__name__} stay float32, got {dtype}: leave them as they are, and for less "
                "memory and time call the network under torch.autocast, as AutocastInferer does."
            )
        super()._apply(fn, recurse)
        return self

    def _check_preprocessing(self, settings: Mapping[str, Any], path: str | Path) -> None:
        wanted, found = settings.get("preprocessing"), getattr(self, "preprocessing", None)
        if wanted not in (None, found):
            raise ValueError(f"{path}: trained with preprocessing={wanted!r}, but this network has {found!r}.")


def _word(settings: Mapping[str, Any]) -> bool:
    """Return what the settings of a trained decoder say; most are trained with clicks or a box alone."""
    return bool(settings.get(COMBINES_PROMPTS, False))


def _equal(given: Any, own: torch.Tensor) -> bool:
    if not isinstance(given, torch.Tensor) or own.is_meta or given.is_meta:
        return False
    return torch.equal(given.to(own), own)


def _load_strictly(module: nn.Module, state: dict[str, torch.Tensor], path: str | Path) -> None:
    message = f"{path}: these weights do not fit {type(module).__name__}"
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ValueError(f"{message}: {str(error)[:300]}") from error
    if missing or unexpected:
        raise ValueError(
            f"{message}: {len(missing)} keys are missing {missing[:3]}, {len(unexpected)} are unknown {unexpected[:3]}."
        )

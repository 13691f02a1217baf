# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""Image encoders that ONNX Runtime computes, in place of torch's."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from monai.utils import optional_import
from torch import nn

from monai_synthfm.networks.onnx.export import ENCODER_HASH
from monai_synthfm.networks.sam_family import SamFamily
from monai_synthfm.networks.weights.fingerprint import state_sha256
from monai_synthfm.utils.hashes import sha256_of

__all__ = ["OnnxImageEncoder", "use_onnx_encoder"]

onnxruntime, _has_onnxruntime = optional_import("onnxruntime")

_Provider = str | tuple[str, Mapping[str, Any]]
_CPU = "CPUExecutionProvider"
_Network = TypeVar("_Network", bound=nn.Module)


class OnnxImageEncoder(nn.Module):
    """Run an ``encoder.onnx`` of :func:`~monai_synthfm.networks.onnx.export.export_onnx`, for inference only.

    ONNX Runtime's graph optimisations are all on, and it uses as many threads as torch does when this is constructed.
    A hash of the file and the providers is in the state dict, so that kept embeddings are known to come from them.

    Args:
        path: of the file.
        providers: what computes, best first, each by ONNX Runtime's name or as (name, options), for example
            ``"CUDAExecutionProvider"``; None = the CPU. ONNX Runtime passes on to the CPU what the first one cannot do.

    Raises:
        FileNotFoundError: when there is no such file.
        ImportError: when onnxruntime is missing.
        ValueError: when a provider is not there, or the file is no encoder of a Sam or MobileSam.
    """

    origin_sha256: torch.Tensor

    def __init__(self, path: str | Path, providers: Sequence[_Provider] | None = None) -> None:
        super().__init__()
        path = Path(os.path.expanduser(path))
        if not path.is_file():
            raise FileNotFoundError(f"no ONNX encoder at {path}: export_onnx writes one.")
        if not _has_onnxruntime:
            raise ImportError("an ONNX encoder needs onnxruntime: pip install onnxruntime")
        wanted = [entry if isinstance(entry, str) else tuple(entry) for entry in providers or ()]
        names = [entry if isinstance(entry, str) else str(entry[0]) for entry in wanted]
        _check_providers(names, onnxruntime.get_available_providers())
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = torch.get_num_threads()
        rest = [] if _CPU in names else [_CPU]
        self.session = onnxruntime.InferenceSession(str(path), options, providers=[*wanted, *rest])
        # A provider whose libraries do not load is otherwise left out with no more than a line in the log.
        _check_providers(names, self.session.get_providers())
        inputs, outputs = (
            [entry.name for entry in ends()] for ends in (self.session.get_inputs, self.session.get_outputs)
        )
        self.metadata: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)
        if inputs != ["image"] or outputs != ["image_embeddings"] or ENCODER_HASH not in self.metadata:
            raise ValueError(
                f"{path} is not the encoder of a Sam or MobileSam that export_onnx wrote: it takes {inputs} and gives "
                f"{outputs}."
            )
        origin = json.dumps([sha256_of(path), wanted], sort_keys=True).encode()
        digest = torch.tensor(list(hashlib.sha256(origin).digest()), dtype=torch.uint8)
        self.register_buffer("origin_sha256", digest)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Encode normalised square images ``[B, 3, S, S]``; the features are where the image is."""
        values = self.session.run(None, {"image": image.detach().float().cpu().contiguous().numpy()})[0]
        return torch.from_numpy(values).to(image.device)


def use_onnx_encoder(
    network: _Network,
    path: str | Path | None,
    providers: Sequence[_Provider] | None = None,
) -> _Network:
    """Let a network encode through ONNX Runtime from now on.

    Args:
        network: a Sam or MobileSam, which is changed.
        path: an ``encoder.onnx`` exported from a network of this ``image_size`` with these encoder weights; None leaves
            the network as it is.
        providers: see :class:`OnnxImageEncoder`.

    Returns:
        the network.

    Raises:
        TypeError: when the network is neither a Sam nor a MobileSam.
        ValueError: when the file holds other weights or another image size.

    Example:
        >>> from monai_synthfm.networks import MobileSam
        >>> use_onnx_encoder(MobileSam(image_size=64), None).image_size
        64
    """
    if path is None:
        return network
    if not isinstance(network, SamFamily):
        raise TypeError(f"only Sam and MobileSam encode through ONNX Runtime, not {type(network).__name__}.")
    encoder = OnnxImageEncoder(path, providers)
    if encoder.metadata["image_size"] != str(network.image_size):
        raise ValueError(
            f"{path} was exported at an image_size of {encoder.metadata['image_size']}, the network's is "
            f"{network.image_size}."
        )
    if encoder.metadata[ENCODER_HASH] != state_sha256(network.image_encoder):
        raise ValueError(f"{path} holds other weights than the network's image encoder: export it again.")
    network.image_encoder = encoder
    return network


def _check_providers(wanted: Sequence[str], found: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ValueError(
            f"ONNX Runtime has no {missing[0]} here, only {list(found)}: CUDA and TensorRT need the package "
            "onnxruntime-gpu, an NVIDIA GPU and its libraries."
        )

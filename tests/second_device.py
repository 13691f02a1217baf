# Copyright (c) monai_synthfm contributors
# Licensed under the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0).
# SPDX-License-Identifier: Apache-2.0
"""A second device on a machine that has only a CPU: tensors that say they live elsewhere, refuse to be mixed with those
of the CPU, and are computed with another rounding, as an accelerator's are."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from unittest import mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

__all__ = ["SECOND", "SecondDevice"]

SECOND = torch.device("cuda", 0)
_ROUNDED = {
    *("add", "sub", "mul", "div", "addcmul", "addcdiv", "lerp", "mm", "mean", "sum", "cumsum", "rsqrt", "sqrt"),
    *("pow", "exp", "log10", "sin", "cos", "atan2", "hypot", "sigmoid", "special_ndtr", "grid_sampler_2d"),
    *("upsample_bilinear2d", "_upsample_bilinear2d_aa", "upsample_trilinear3d", "grid_sampler_3d"),
}  # what accelerators round in their own way

_PRIVATE = ("_ensureCUDADeviceGuardSet", "_only_lift_cpu_tensors", "_set_only_lift_cpu_tensors")


class _Remote(torch.Tensor):
    data_here: torch.Tensor

    @staticmethod
    def __new__(cls, data: torch.Tensor) -> _Remote:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            data.shape,
            strides=data.stride(),
            storage_offset=data.storage_offset(),
            dtype=data.dtype,
            device=SECOND,
        )
        made.data_here = data
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})

    def __repr__(self, **_: Any) -> str:
        return f"Remote({self.data_here})"


class SecondDevice(TorchDispatchMode):
    """Makes ``SECOND`` a device while it is active.

    Attributes:
        draws: devices that random numbers were drawn on.
    """

    def __init__(self) -> None:
        super().__init__()
        missing = [name for name in _PRIVATE if not hasattr(torch._C, name)]
        if missing:
            pytest.skip(f"torch {torch.__version__} has no {', '.join(missing)}, by which a device is made up")
        torch._C._ensureCUDADeviceGuardSet()  # one that does nothing, where there is no CUDA
        self.draws: list[str] = []

    def __enter__(self) -> SecondDevice:
        self._settings = ExitStack()
        self._settings.enter_context(mock.patch("torch.cuda._lazy_init"))
        self._settings.enter_context(torch.backends.cudnn.flags(enabled=False))
        self._settings.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)  # lets torch.tensor(values, device=...) arrive here
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        self._settings.close()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags:
            remote = kwargs.get("device") == SECOND or any(isinstance(a, _Remote) for a in tree_leaves(args))
            self.draws.append("second" if remote else "cpu")
        return _run(func, args, kwargs)


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    remote = [tensor for tensor in tensors if isinstance(tensor, _Remote)]
    copies = func.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_)
    if remote and not copies and any(tensor.dim() > 0 and not isinstance(tensor, _Remote) for tensor in tensors):
        raise RuntimeError(f"{func}: expected all tensors on one device, found {SECOND} and cpu.")
    target = kwargs.get("device")
    if target is not None:
        there = torch.device(target).type == SECOND.type
    else:
        there = isinstance(args[0], _Remote) if func.overloadpacket is torch.ops.aten.copy_ else bool(remote)
    here, options = tree_map_only(_Remote, lambda tensor: tensor.data_here, (args, kwargs))
    if target is not None and there:
        options = {**options, "device": torch.device("cpu")}
    result = func(*here, **options)
    if not there:
        return result
    if func.overloadpacket.__name__.rstrip("_") in _ROUNDED:
        tree_map_only(torch.Tensor, _round_otherwise, result)
    known = {id(tensor.data_here): tensor for tensor in remote}
    return tree_map_only(
        torch.Tensor, lambda tensor: known[id(tensor)] if id(tensor) in known else _Remote(tensor), result
    )


def _round_otherwise(values: torch.Tensor) -> None:
    """Move every second value by the last bit."""
    if values.is_floating_point():
        torch.atleast_1d(values)[..., ::2] *= 1.0 + torch.finfo(values.dtype).eps

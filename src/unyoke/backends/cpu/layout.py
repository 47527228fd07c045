"""Which tensors a flat loop over memory may run through, and the reason where it may not."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from unyoke.backends import layout
from unyoke.backends.layout import is_dense, same_order
from unyoke.storage.encodings import BLOCK

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
"""Of weights and gradients."""


def objection(
    weight: torch.Tensor, alike: Mapping[str, torch.Tensor], scales: Mapping[str, torch.Tensor]
) -> str | None:
    """Why a parameter's tensors cannot be run through together.

    Args:
        weight: the parameter.
        alike: gradient, state and what else must lie in memory as the weight does.
        scales: one number for each block.
    """
    shape = tuple(weight.shape)
    if weight.dtype not in DTYPES:
        return f"a parameter of shape {shape} is {weight.dtype}"
    for name, tensor in {"parameter": weight, **alike, **scales}.items():
        if reason := _unreadable(tensor):
            return f"the {name} of shape {tuple(tensor.shape)} {reason}"
    if not is_dense(weight):
        return f"a parameter of shape {shape} has gaps: strides {weight.stride()}"
    for name, tensor in alike.items():
        if tensor.shape != weight.shape:
            return f"a parameter of shape {shape} has a {name} of shape {tuple(tensor.shape)}"
        if not same_order(weight, tensor):
            return (
                f"a parameter of shape {shape} has strides {weight.stride()}, "
                f"its {name} {tensor.stride()}"
            )
    for name, tensor in scales.items():
        if tensor.shape != (-(-weight.numel() // BLOCK),) or tensor.dtype != torch.float32:
            return f"a parameter of shape {shape} has {name} of shape {tuple(tensor.shape)}"
    return None


def _unreadable(tensor: torch.Tensor) -> str | None:
    if type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        return f"is a {type(tensor).__name__}"
    if tensor.layout is not torch.strided:
        return f"is {tensor.layout}"
    if tensor.device.type != "cpu":
        return f"is on {tensor.device}"
    if tensor.dtype not in (*DTYPES, torch.int8, torch.uint8):
        return f"is {tensor.dtype}"
    if tensor.is_neg() or tensor.is_conj():
        return "is a view that is lazily negated or conjugated"
    return None


def stack_objection(weight: torch.Tensor, models: int, blocks: bool) -> str | None:
    """Why the models of a stack do not lie in memory one after the other, or share a block."""
    if blocks and models > 1 and weight.numel() // models % BLOCK:
        return f"in a stack of shape {tuple(weight.shape)} two models share a block of 8-bit state"
    return layout.stack_objection(weight, models)

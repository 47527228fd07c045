"""Convolutions of many models as products of matrices, where that is faster: on a GPU.

Under vmap the convolutions of K models become one with K groups, which cuDNN does slowly. The same
sums are a product of each model's weights with the shifted copies of its inputs, and products of
many matrices are what a GPU does best. The copies take as many times the memory of the inputs as a
filter has places.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from unyoke.population.replacing import Replacing

DEVICES = ("cuda",)
"""Where it is faster."""


def convolutions(tensor: Tensor) -> AbstractContextManager[object]:
    """The faster way on a tensor's device, while active."""
    return Products() if tensor.device.type in DEVICES else nullcontext()


class Products(Replacing):
    """While active, two-dimensional convolutions without groups are products of matrices."""

    def __init__(self) -> None:
        super().__init__({functional.conv2d: _conv2d})


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    usual = groups == 1 and input.dim() == 4 and input.shape[1] == weight.shape[1]
    if not usual or isinstance(padding, str):
        return functional.conv2d(input, weight, bias, stride, padding, dilation, groups)
    pads, steps = _pair(padding), _pair(dilation)
    reach = [step * (size - 1) for step, size in zip(steps, weight.shape[2:], strict=True)]
    if any(
        size + 2 * pad <= far for size, pad, far in zip(input.shape[2:], pads, reach, strict=True)
    ):
        return functional.conv2d(input, weight, bias, stride, padding, dilation)  # it says why not
    return conv2d(input, weight, bias, _pair(stride), pads, steps)


def _pair(value: Any) -> tuple[int, int]:
    first, last = value if isinstance(value, Sequence) and len(value) == 2 else (value, value)
    return _number(first), _number(last)


def _number(value: Any) -> int:
    return int(value[0] if isinstance(value, Sequence) else value)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Tensor:
    """:func:`torch.nn.functional.conv2d` without groups, [N, C, H, W] → [N, O, H′, W′]."""
    rows, columns = weight.shape[2:]
    input = functional.pad(input, (padding[1], padding[1], padding[0], padding[0]))
    samples, channels, height, width = input.shape
    height = (height - dilation[0] * (rows - 1) - 1) // stride[0] + 1
    width = (width - dilation[1] * (columns - 1) - 1) // stride[1] + 1

    def shifted(row: int, column: int) -> Tensor:
        """What the filter's place (row, column) meets."""
        down, right = dilation[0] * row, dilation[1] * column
        within = slice(down, down + stride[0] * (height - 1) + 1, stride[0])
        across = slice(right, right + stride[1] * (width - 1) + 1, stride[1])
        return input[:, :, within, across]

    places = [shifted(row, column) for row in range(rows) for column in range(columns)]
    met = torch.stack(places, dim=2).permute(1, 2, 0, 3, 4)
    met = met.reshape(channels * rows * columns, samples * height * width)
    result = weight.flatten(1) @ met
    if bias is not None:
        result = result + bias.to(result.dtype)[:, None]
    return result.reshape(-1, samples, height, width).transpose(0, 1)

"""Convolutions of many models as products of matrices, where that is faster.

Under vmap the convolutions of K models become one with K groups. The same sums are a product of
each model's weights with what its filters meet.

- On a GPU that is always faster: cuDNN does grouped convolutions slowly. What filters meet are
  shifted copies of the inputs, as many times their memory as a filter has places.
- On a CPU it is faster where each number is met once, so that nothing is copied twice: filters of
  one place, and those that move by their own size, as in networks of patches. Elsewhere oneDNN's
  grouped convolution is faster, also than torch's im2col (docs/population.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from unyoke.population.replacing import Replacing

Pair = tuple[int, int]
Way = Callable[[Tensor, Tensor, Tensor | None, Pair, Pair, Pair], Tensor | None]
"""(input, weight, bias, stride, padding, dilation) to the outputs; None where it is no gain."""


def convolutions(tensor: Tensor) -> AbstractContextManager[object]:
    """The faster way on a tensor's device, while active."""
    way = WAYS.get(tensor.device.type)
    return nullcontext() if way is None else as_products(way)


def as_products(way: Way) -> Replacing:
    """While active, two-dimensional convolutions without groups go this way where it is a gain."""
    return Replacing({functional.conv2d: partial(_conv2d, way)})


def _conv2d(
    way: Way,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    usual = groups == 1 and input.dim() == 4 and input.shape[1] == weight.shape[1]
    result = None
    if usual and not isinstance(padding, str):
        pads, steps = _pair(padding), _pair(dilation)
        reach = [step * (size - 1) for step, size in zip(steps, weight.shape[2:], strict=True)]
        sides = zip(input.shape[2:], pads, reach, strict=True)
        if all(size + 2 * pad > far for size, pad, far in sides):  # else torch says why not
            result = way(input, weight, bias, _pair(stride), pads, steps)
    if result is not None:
        return result
    return functional.conv2d(input, weight, bias, stride, padding, dilation, groups)


def _pair(value: Any) -> Pair:
    numbers = value if isinstance(value, Sequence) else (value,)
    return int(numbers[0]), int(numbers[-1])


def by_copies(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """:func:`torch.nn.functional.conv2d` without groups, [N, C, H, W] → [N, O, H′, W′]."""
    rows, columns = weight.shape[2:]
    input = functional.pad(input, (padding[1], padding[1], padding[0], padding[0]))
    samples, _, height, width = input.shape
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
    return _product(met, weight, bias, (samples, height, width))


def of_patches(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor | None:
    """The same for filters that meet each number once; None for others."""
    rows, columns = weight.shape[2:]
    one_place = rows == columns == 1
    if stride != (rows, columns) or padding != (0, 0) or not (one_place or dilation == (1, 1)):
        return None
    samples, channels, height, width = input.shape
    height, width = height // rows, width // columns
    used = input[:, :, : height * rows, : width * columns]
    patches = used.reshape(samples, channels, height, rows, width, columns)
    return _product(patches.permute(1, 3, 5, 0, 2, 4), weight, bias, (samples, height, width))


def _product(
    met: Tensor, weight: Tensor, bias: Tensor | None, shape: tuple[int, int, int]
) -> Tensor:
    """Outputs [N, O, H′, W′] of what each place of a filter meets, [C, …, N, H′, W′]."""
    result = weight.flatten(1) @ met.reshape(weight[0].numel(), -1)
    if bias is not None:
        result = result + bias.to(result.dtype)[:, None]
    return result.reshape(-1, *shape).transpose(0, 1)


WAYS: Mapping[str, Way] = {"cuda": by_copies, "cpu": of_patches}
"""Which way is faster, by the kind of device."""

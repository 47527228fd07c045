"""What models are called with: a tensor, or tuples and dicts of tensors.

    a tensor      model(x)
    a tuple       model(*x)
    a dict        model(**x)

Tuples and dicts may hold tuples and dicts. All tensors count samples by their first dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

Inputs = Tensor | tuple[Any, ...] | Mapping[str, Any]


def called(model: Callable[..., Any], inputs: Inputs) -> Any:
    """What the model gives for these inputs."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def call_in_words(inputs: Inputs) -> str:
    """How :func:`called` calls a model with these inputs, for errors."""
    if isinstance(inputs, Mapping):
        return f"model({', '.join(f'{name}=…' for name in inputs)})"
    count = len(inputs) if isinstance(inputs, tuple) else 1
    return f"model({', '.join(['…'] * count)})"


def mapped(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """The same tuples and dicts with ``function`` of each tensor."""
    return function(tree) if isinstance(tree, Tensor) else pytree.tree_map(function, tree)


def taken(tree: Any, index: int | slice | Tensor) -> Any:
    """``x[index]`` of each tensor, on its own device."""
    return mapped(lambda x: x[index.to(x.device) if isinstance(index, Tensor) else index], tree)


def leaves(tree: Any) -> list[Tensor]:
    """All tensors, in a fixed order."""
    return [tree] if isinstance(tree, Tensor) else pytree.tree_leaves(tree)


def place(tree: Any) -> tuple[object, ...]:
    """The same for the same memory, and for nothing else."""
    return tuple((x.data_ptr(), tuple(x.shape), x.stride(), x.dtype) for x in leaves(tree))


def joined(function: Callable[[list[Tensor]], Tensor], trees: list[Any]) -> Any:
    """One tree of several with the same form; ``function`` makes one tensor of theirs."""
    if isinstance(trees[0], Tensor):
        return function(trees)
    return pytree.tree_map(lambda *parts: function(list(parts)), *trees)

"""The layers of a model from its input to its output, for learning rates that differ by layer.

A *stack* is a list or Sequential of two or more modules of one class that have modules inside, such
as the blocks of a transformer: its elements are layers. What holds a stack is no layer itself: it
is torch.compile's module, DDP, a LightningModule with ``self.model``, or ``bert.encoder``.

>>> block = lambda: nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
>>> blocks = nn.ModuleList([block(), block()])
>>> encoder = nn.ModuleDict({"embed": nn.Embedding(3, 2), "layer": blocks})
>>> model = nn.ModuleDict({"encoder": encoder, "head": nn.Linear(2, 2)})
>>> [name for name, _ in find_layers(model)]
['encoder.embed', 'encoder.layer.0', 'encoder.layer.1', 'head']
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch import nn

CONTAINERS = (nn.Sequential, nn.ModuleList)


def find_layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers with their names, from the first to the last in the model's own order."""
    prefix = ""
    while (only := _only_child(model)) is not None:
        name, model = only
        prefix += f"{name}."
    return list(_taken_apart(prefix, model)) or [(prefix.rstrip("."), model)]


def _only_child(model: nn.Module) -> tuple[str, nn.Module] | None:
    """What a wrapper wraps: the one child that holds parameters, if that has children itself."""
    inside = _holding_children(model)
    if len(inside) != 1 or any(True for _ in model.parameters(recurse=False)):
        return None
    return inside[0] if _holding_children(inside[0][1]) else None


def _holding_children(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [
        (name, child)
        for name, child in model.named_children()
        if any(True for _ in child.parameters())
    ]


def _taken_apart(prefix: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    is_element = _is_stack(module)
    for name, child in _holding_children(module):
        is_plain_container = type(child) in CONTAINERS and not is_element
        if is_plain_container or (not is_element and any(map(_is_stack, child.modules()))):
            yield from _taken_apart(f"{prefix}{name}.", child)
        else:
            yield prefix + name, child


def _is_stack(module: nn.Module) -> bool:
    if not isinstance(module, CONTAINERS):
        return False
    inside = [child for _, child in _holding_children(module)]
    return (
        len(inside) > 1
        and len({type(child) for child in inside}) == 1
        and all(any(True for _ in child.children()) for child in inside)
    )


def scales(
    model: nn.Module, layers: Sequence[nn.Module], layer_decay: float
) -> Callable[[str], float]:
    """What the rate of a parameter is multiplied by, from its name.

    layer_decay^(n−1−i) in layer i of n; outside of all layers it is that of the first.
    """
    depth = {module: number for number, module in enumerate(layers)}
    modules = dict(model.named_modules(remove_duplicate=False))

    def scale(name: str) -> float:
        around = [modules[".".join(name.split(".")[:n])] for n in range(1, name.count(".") + 1)]
        layer = max((depth[module] for module in around if module in depth), default=0)
        return float(layer_decay ** (len(layers) - 1 - layer))

    return scale

"""Which parameters decay: decided by module type, and printed.

Biases, the scales of norms, embeddings and scalars are commonly not decayed. Names do not tell
them apart (``ln_1`` is a norm, ``norm_head`` may be a Linear), so the module that owns a parameter
decides, then the parameter's number of dimensions.

>>> model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8))
>>> split(model, weight_decay=1e-5)
parameter  shape   module     decays  why
0.weight   (8, 4)  Linear     yes     a weight of 2 dimensions
0.bias     (8,)    Linear     no      a bias or scale: 1 dimension
1.weight   (8,)    LayerNorm  no      LayerNorm is a norm
1.bias     (8,)    LayerNorm  no      LayerNorm is a norm
2 group(s): 1 parameter(s) decay, 3 do not
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, TypeAlias

from torch import nn

from unyoke import directions as all_directions
from unyoke._step.hyperparameters import WeightDecay, check_lr, check_weight_decay, depends_on_t
from unyoke.slots import Direction

NORMS: tuple[type[nn.Module], ...] = (
    nn.modules.batchnorm._NormBase,  # every batch and instance norm, synchronized ones included
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)
EMBEDDINGS: tuple[type[nn.Module], ...] = (nn.Embedding, nn.EmbeddingBag)

Rule: TypeAlias = Callable[[str, nn.Parameter, nn.Module], bool | None]
Entries: TypeAlias = str | Direction | Mapping[str, Any]
"""A direction, by name or as an object; or entries of a group, ``"direction"`` among them."""
Directions: TypeAlias = Callable[[str, nn.Parameter, nn.Module], Entries | None]


@dataclass(frozen=True)
class Decision:
    """What was decided about one parameter, and why.

    Attributes:
        names: where it stands in the model; tied weights have several names.
        shape: its shape.
        module: the type of the module that owns it.
        decays: whether weight decay applies; None for a frozen parameter, which is in no group.
        why: the reason, for people.
        lr: its learning rate α, if ``split`` was given one.
        direction: the name of its direction; empty if it has the optimizer's.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    module: str
    decays: bool | None
    why: str
    lr: float | None = None
    direction: str = ""

    @property
    def row(self) -> tuple[str, ...]:
        """Its line in the table; what no parameter has is left out there."""
        answer = {True: "yes", False: "no", None: "frozen"}[self.decays]
        lr = "" if self.lr is None else f"{self.lr:.4g}"
        name = " = ".join(self.names)
        return (name, str(self.shape), self.module, self.direction, answer, lr, self.why)


class Groups(list[dict[str, Any]]):
    """Parameter groups for an optimizer; prints as the table of the decisions.

    Attributes:
        decisions: one per distinct parameter of the model, in the model's order.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], decisions: Sequence[Decision]) -> None:
        super().__init__(groups)
        self.decisions = tuple(decisions)

    def __repr__(self) -> str:
        heading = ("parameter", "shape", "module", "direction", "decays", "lr", "why")
        rows = [decision.row for decision in self.decisions]
        there = [any(column) for column in zip(*rows, strict=True)]
        rows = [tuple(compress(row, there)) for row in (heading, *rows)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, self._total()])

    def _total(self) -> str:
        decaying = sum(decision.decays is True for decision in self.decisions)
        frozen = sum(decision.decays is None for decision in self.decisions)
        free = len(self.decisions) - decaying - frozen
        total = f"{len(self)} group(s): {decaying} parameter(s) decay, {free} do not"
        return total + (f"; {frozen} frozen, in no group" if frozen else "")


def split(
    model: nn.Module,
    weight_decay: WeightDecay = 1e-5,
    *,
    norms: tuple[type[nn.Module], ...] = (),
    rule: Rule | None = None,
    lr: float | None = None,
    layer_decay: float | None = None,
    layers: Sequence[nn.Module] | None = None,
    directions: Directions | None = None,
) -> Groups:
    """Parameter groups of ``model``: one with weight decay and one without, for each direction.

    The first of these that applies decides: the parameter is frozen (it is listed, and in no
    group); ``rule``; the name is in a ``no_weight_decay()`` set of the model or of a module around
    it (a hook that timm's models have); its module is a norm; its module is an embedding; it has
    at most one dimension (biases, scales, scalars). What remains decays. Tied weights are one
    parameter, which is not decayed if any of its places says so.

    Args:
        model: all its parameters are looked at.
        weight_decay: of those that decay, in the units of the optimizer that will get it.
        norms: further classes whose parameters are a norm's; subclasses count.
        rule: ``(name, parameter, module) → True, False or None``; None leaves it to the rest.
        lr: α of every group; needed with ``layer_decay``.
        layer_decay: each layer learns at ``layer_decay`` times the rate of the next: α of layer i
            of n is lr·layer_decay^(n−1−i), in (0, 1].
        layers: modules from the input to the output, for ``layer_decay``. Left out, they are the
            model's children, with lists and Sequentials taken apart. Parameters outside of all of
            them (position embeddings, class tokens) belong to the first layer.
        directions: ``(name, parameter, module) → the direction of this parameter``, by name or as
            an object; or a mapping of entries for its group, such as ``{"direction": "muon",
            "lr": 0.02}``; or None, which leaves it to the optimizer. See :func:`hidden_matrices`.

    Returns:
        A list of parameter groups with the parameters' names in it; it prints as a table.

    Raises:
        ValueError: nothing to train, a lazy module without shapes, a name in ``no_weight_decay()``
            that the model does not have, or a number out of range.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8))
    >>> groups = split(model, weight_decay=1e-5)
    >>> [decision.decays for decision in groups.decisions]
    [True, False, False, False]
    """
    if not depends_on_t(weight_decay):
        check_weight_decay(weight_decay)
    scale = _layer_scales(model, lr, layer_decay, layers)
    exempt = _exempt_names(model)
    decisions, groups = [], _Collector(weight_decay)
    for weight, places in _places(model).items():
        decays, why = _decide(weight, places, exempt, (*NORMS, *norms), rule)
        name, module = places[0]
        entries = _entries(None if directions is None else directions(name, weight, module))
        own_lr = entries.pop("lr", lr)
        own_lr = None if own_lr is None else own_lr * scale(places)
        decisions.append(
            Decision(
                names=tuple(name for name, _ in places),
                shape=tuple(weight.shape),
                module=type(module).__name__,
                decays=decays,
                why=why,
                lr=own_lr,
                direction=all_directions.name_of(entries.get("direction", "")),
            )
        )
        if decays is not None:
            groups.add(name, weight, decays, own_lr, entries)
    if not groups.found:
        raise ValueError(
            f"{type(model).__name__} has no parameter that requires a gradient: nothing to train"
        )
    return Groups(groups.found, decisions)


def hidden_matrices(
    model: nn.Module,
    direction: Entries = "muon",
    *,
    rest: Entries = "adam",
    head: nn.Module | None = None,
) -> Directions:
    """A rule for ``split(directions=)``: matrices of hidden layers go one way, the rest another.

    Hidden is every matrix that is not an embedding's, a norm's or the output layer's. The table
    of ``split`` shows what was decided.

    Args:
        model: the model that is to be split.
        direction: of hidden matrices; a name, an object, or entries of a group.
        rest: of all other parameters.
        head: the output layer; left out, the module that owns the last matrix of the model.

    Raises:
        ValueError: ``head`` is no module of the model, or the model has no matrix.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8, bias=False), nn.Linear(8, 2))
    >>> split(model, directions=hidden_matrices(model, {"direction": "muon", "lr": 0.02}))
    parameter  shape   module  direction  decays  lr    why
    0.weight   (8, 4)  Linear  muon       yes     0.02  a weight of 2 dimensions
    0.bias     (8,)    Linear  adam       no            a bias or scale: 1 dimension
    1.weight   (8, 8)  Linear  muon       yes     0.02  a weight of 2 dimensions
    2.weight   (2, 8)  Linear  adam       yes           a weight of 2 dimensions
    2.bias     (2,)    Linear  adam       no            a bias or scale: 1 dimension
    3 group(s): 3 parameter(s) decay, 2 do not
    """
    owners = [
        module
        for module in model.modules()
        for weight in module.parameters(recurse=False)
        if weight.dim() == 2
    ]
    if not owners:
        raise ValueError(f"{type(model).__name__} has no matrix: no layer is hidden")
    if head is not None and not any(module is head for module in model.modules()):
        raise ValueError(f"head={type(head).__name__} is no module of {type(model).__name__}")
    last = owners[-1] if head is None else head
    outputs = {id(weight) for weight in last.parameters()}

    def decide(name: str, weight: nn.Parameter, module: nn.Module) -> Entries:
        is_hidden = weight.dim() == 2 and not isinstance(module, (*NORMS, *EMBEDDINGS))
        return direction if is_hidden and id(weight) not in outputs else rest

    return decide


def _entries(answer: Entries | None) -> dict[str, Any]:
    """Entries of a group, with a direction that exists; ValueError if there is none."""
    if answer is None:
        return {}
    entries = dict(answer) if isinstance(answer, Mapping) else {"direction": answer}
    if "direction" in entries:
        all_directions.get(entries["direction"])
    if "lr" in entries:
        check_lr(entries["lr"])
    return entries


class _Collector:
    """Gathers parameters into groups of equal weight decay, learning rate and other entries."""

    def __init__(self, weight_decay: WeightDecay) -> None:
        self.weight_decay = weight_decay
        self.found: list[dict[str, Any]] = []
        self._known: list[tuple[Any, ...]] = []

    def add(
        self,
        name: str,
        weight: nn.Parameter,
        decays: bool,
        lr: float | None,
        entries: Mapping[str, Any],
    ) -> None:
        key = (decays, lr, entries)
        if key not in self._known:
            self._known.append(key)
            rates = {"weight_decay": self.weight_decay if decays else 0.0}
            rates |= {} if lr is None else {"lr": lr}
            self.found.append({"params": [], **rates, **entries})
        self.found[self._known.index(key)]["params"].append((name, weight))


Places: TypeAlias = list[tuple[str, nn.Module]]


def _places(model: nn.Module) -> dict[nn.Parameter, Places]:
    """Every distinct parameter with its names and the modules that own it."""
    found: dict[nn.Parameter, Places] = {}
    for prefix, module in model.named_modules(remove_duplicate=False):
        for own, weight in module.named_parameters(recurse=False, remove_duplicate=False):
            name = f"{prefix}.{own}" if prefix else own
            if isinstance(weight, nn.parameter.UninitializedParameter):
                raise ValueError(
                    f"parameter {name!r} has no shape yet: run the model once before splitting it"
                )
            owner = _owner(model, prefix, module)
            found.setdefault(weight, []).append((name, owner))
    return found


def _owner(model: nn.Module, prefix: str, module: nn.Module) -> nn.Module:
    """The module whose type counts: a reparametrized weight is its module's, not its wrapper's."""
    if isinstance(module, nn.utils.parametrize.ParametrizationList):
        return model.get_submodule(prefix.rsplit("parametrizations", 1)[0].rstrip("."))
    return module


def _exempt_names(model: nn.Module) -> frozenset[str]:
    """Full names from every ``no_weight_decay()`` in the model."""
    exempt: set[str] = set()
    for prefix, module in model.named_modules():
        hook = getattr(module, "no_weight_decay", None)
        if not callable(hook):
            continue
        names = {f"{prefix}.{name}" if prefix else str(name) for name in hook()}
        everything = {name for name, _ in model.named_parameters(remove_duplicate=False)}
        unknown = sorted(names - everything)
        if unknown:
            raise ValueError(
                f"no_weight_decay() of {type(module).__name__} names {', '.join(unknown)}, and "
                f"{type(model).__name__} has no such parameter"
            )
        exempt |= names
    return frozenset(exempt)


def _decide(
    weight: nn.Parameter,
    places: Places,
    exempt: frozenset[str],
    norms: tuple[type[nn.Module], ...],
    rule: Rule | None,
) -> tuple[bool | None, str]:
    """Whether a parameter decays, and why."""
    if not weight.requires_grad:
        return None, "requires_grad is False"
    for name, module in places:
        answer = None if rule is None else rule(name, weight, module)
        if answer is not None:
            return bool(answer), "rule= says so"
    return next(_exemptions(weight, places, exempt, norms), None) or (
        True,
        f"a weight of {weight.dim()} dimensions",
    )


def _exemptions(
    weight: nn.Parameter,
    places: Places,
    exempt: frozenset[str],
    norms: tuple[type[nn.Module], ...],
) -> Iterator[tuple[bool, str]]:
    for name, module in places:
        kind = type(module).__name__
        if name in exempt:
            yield False, "no_weight_decay() names it"
        if isinstance(module, norms):
            yield False, f"{kind} is a norm"
        if isinstance(module, EMBEDDINGS):
            yield False, f"{kind} is an embedding"
    if weight.dim() == 0:
        yield False, "a scalar"
    if weight.dim() == 1:
        yield False, "a bias or scale: 1 dimension"


def _layer_scales(
    model: nn.Module,
    lr: float | None,
    layer_decay: float | None,
    layers: Sequence[nn.Module] | None,
) -> Callable[[Places], float]:
    """What the learning rate of a parameter is multiplied by, for the place it has in the model."""
    if lr is not None:
        check_lr(lr)
    if layer_decay is None:
        if layers is not None:
            raise ValueError("layers= is for layer_decay=, which was not given")
        return lambda places: 1.0
    if not 0.0 < layer_decay <= 1.0:
        raise ValueError(f"layer_decay must lie in (0, 1], not {layer_decay!r}")
    if lr is None:
        raise ValueError("layer_decay= multiplies a learning rate: give lr= as well")
    order = list(_layers(model)) if layers is None else list(layers)
    depth = _depths(order)
    factor, last = layer_decay, len(order) - 1
    names = dict(model.named_modules(remove_duplicate=False))

    def scaled(places: Places) -> float:
        name = places[0][0]
        around = [names[".".join(name.split(".")[:n])] for n in range(1, name.count(".") + 1)]
        layer = max((depth[module] for module in around if module in depth), default=0)
        return float(factor ** (last - layer))

    return scaled


def _depths(order: Sequence[nn.Module]) -> Mapping[nn.Module, int]:
    return {module: depth for depth, module in enumerate(order)}


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    """The children that hold parameters, in order; containers are taken apart."""
    for child in model.children():
        if type(child) in (nn.Sequential, nn.ModuleList):
            yield from _layers(child)
        elif any(True for _ in child.parameters()):
            yield child


__all__ = ["Decision", "Groups", "hidden_matrices", "split"]

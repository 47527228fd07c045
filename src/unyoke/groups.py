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

import fnmatch
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from torch import nn

from unyoke import directions as all_directions
from unyoke._step.hyperparameters import WeightDecay, check_lr, check_weight_decay, depends_on_t
from unyoke._support.callers import warn
from unyoke._support.decisions import Decision, Groups
from unyoke._support.layers import find_layers, scales
from unyoke.slots import Direction

NORMS: tuple[type[nn.Module], ...] = (
    nn.modules.batchnorm._NormBase,  # every batch and instance norm, synchronized ones included
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)
EMBEDDINGS: tuple[type[nn.Module], ...] = (nn.Embedding, nn.EmbeddingBag)

DecayRule: TypeAlias = Callable[[str, nn.Parameter, nn.Module], bool | None]
GroupEntries: TypeAlias = str | Direction | Mapping[str, Any]
"""A direction, by name or as an object; or entries of a group, ``"direction"`` among them."""
Directions: TypeAlias = Callable[[str, nn.Parameter, nn.Module], GroupEntries | None]


def split(
    model: nn.Module,
    weight_decay: WeightDecay = 1e-5,
    *,
    norms: tuple[type[nn.Module], ...] = (),
    rule: DecayRule | None = None,
    lr: float | None = None,
    layer_decay: float | None = None,
    layers: Sequence[nn.Module] | None = None,
    directions: Directions | None = None,
    named: bool = True,
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
            model's children, with lists, Sequentials and whatever holds a stack of blocks taken
            apart: wrappers are seen through. Parameters outside of all of them (position
            embeddings, class tokens) belong to the first layer.
        directions: ``(name, parameter, module) → the direction of this parameter``, by name or as
            an object; or a mapping of entries for its group, such as ``{"direction": "muon",
            "lr": 0.02}``; or None, which leaves it to the optimizer. See :func:`hidden_matrices`.
        named: whether groups hold the parameters' names too, by which checkpoints are matched.
            ZeroRedundancyOptimizer wants ``named=False``.

    Returns:
        A list of parameter groups with the parameters' names in it; it prints as a table, with a
        line for names in ``no_weight_decay()`` that the model lacks.

    Raises:
        TypeError: something else than a model.
        ValueError: nothing to train, a lazy module without shapes, a model that is sharded by
            FSDP1, or a number out of range.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8))
    >>> groups = split(model, weight_decay=1e-5)
    >>> [decision.decays for decision in groups.decisions]
    [True, False, False, False]
    """
    _check_model(model)
    if not depends_on_t(weight_decay):
        check_weight_decay(weight_decay)
    notes: list[str] = []
    scale = _layer_scales(model, lr, layer_decay, layers, notes)
    exempt = _exempt_names(model, notes)
    decisions, found = [], []
    for weight, places in _places(model).items():
        decays, why = next(_answers(weight, places, exempt, (*NORMS, *norms), rule))
        name, module = places[0]
        entries = _entries(None if directions is None else directions(name, weight, module))
        own_lr = entries.pop("lr", lr)
        own_lr = None if own_lr is None else own_lr * scale(name)
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
            found.append(((decays, own_lr, entries), (name, weight) if named else weight))
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no parameter that requires a gradient: nothing to train"
        )
    return Groups(_gathered(found, weight_decay), decisions, notes)


def hidden_matrices(
    model: nn.Module,
    direction: GroupEntries = "muon",
    *,
    rest: GroupEntries = "adam",
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

    def decide(name: str, weight: nn.Parameter, module: nn.Module) -> GroupEntries:
        is_hidden = weight.dim() == 2 and not isinstance(module, (*NORMS, *EMBEDDINGS))
        return direction if is_hidden and id(weight) not in outputs else rest

    return decide


def _entries(answer: GroupEntries | None) -> dict[str, Any]:
    """Entries of a group, with a direction that exists; ValueError if there is none."""
    if answer is None:
        return {}
    entries = dict(answer) if isinstance(answer, Mapping) else {"direction": answer}
    if "direction" in entries:
        all_directions.get(entries["direction"])
    if "lr" in entries:
        check_lr(entries["lr"])
    return entries


GroupSettings: TypeAlias = tuple[bool, float | None, Mapping[str, Any]]
"""What a group's parameters have in common: whether they decay, their rate and other entries."""


def _gathered(
    found: Sequence[tuple[GroupSettings, Any]], weight_decay: WeightDecay
) -> list[dict[str, Any]]:
    """Groups of the parameters whose settings are equal."""
    known: list[GroupSettings] = []
    groups: list[dict[str, Any]] = []
    for settings, parameter in found:
        if settings not in known:
            decays, lr, entries = settings
            known.append(settings)
            rates = {"weight_decay": weight_decay if decays else 0.0}
            rates |= {} if lr is None else {"lr": lr}
            groups.append({"params": [], **rates, **entries})
        groups[known.index(settings)]["params"].append(parameter)
    return groups


NamedModules: TypeAlias = list[tuple[str, nn.Module]]


def _places(model: nn.Module) -> dict[nn.Parameter, NamedModules]:
    """Every distinct parameter with its names and the modules that own it."""
    found: dict[nn.Parameter, NamedModules] = {}
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


def _exempt_names(model: nn.Module, notes: list[str]) -> frozenset[str]:
    """Full names from every ``no_weight_decay()`` in the model, which may hold patterns.

    timm's models name parameters that only some of their variants have.
    """
    everything = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    exempt: set[str] = set()
    for prefix, module in model.named_modules():
        # statically: torch.compile's module answers for the one inside
        if inspect.getattr_static(module, "no_weight_decay", None) is None:
            continue
        hook: Any = module.no_weight_decay
        lacking = []
        for name in sorted(hook()):
            pattern = f"{prefix}.{name}" if prefix else name
            found = fnmatch.filter(everything, pattern)
            exempt |= set(found)
            lacking += [] if found else [name]
        if lacking:
            notes.append(
                f"no_weight_decay() of {type(module).__name__} names {', '.join(lacking)}: "
                "no such parameter, passed over"
            )
    return frozenset(exempt)


def _check_model(model: Any) -> None:
    """Refuse what has no modules to decide by, or no shapes.

    Raises:
        TypeError: no module.
        ValueError: it is sharded by FSDP1, whose shards are flat.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"groups.split decides by the modules that own the parameters: give it the model, as "
            f"in split(model), not {type(model).__name__}"
        )
    fsdp: Any = sys.modules.get("torch.distributed.fsdp")  # imported by whoever has used it
    if fsdp is not None and any(
        isinstance(module, fsdp.FullyShardedDataParallel) for module in model.modules()
    ):
        raise ValueError(
            f"{type(model).__name__} holds FullyShardedDataParallel (FSDP1), whose parameters are "
            "flat pieces of one dimension, so matrices can't be told from biases: use "
            "fully_shard (FSDP2), which keeps the shapes, or split before wrapping and make the "
            "groups from .decisions, by name"
        )


def _answers(
    weight: nn.Parameter,
    places: NamedModules,
    exempt: frozenset[str],
    norms: tuple[type[nn.Module], ...],
    rule: DecayRule | None,
) -> Iterator[tuple[bool | None, str]]:
    """Whether a parameter decays, and why; the first answer counts."""
    if not weight.requires_grad:
        yield None, "requires_grad is False"
    for name, module in places:
        answer = None if rule is None else rule(name, weight, module)
        if answer is not None:
            yield bool(answer), "rule= says so"
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
    yield True, f"a weight of {weight.dim()} dimensions"


def _layer_scales(
    model: nn.Module,
    lr: float | None,
    layer_decay: float | None,
    layers: Sequence[nn.Module] | None,
    notes: list[str],
) -> Callable[[str], float]:
    """What the learning rate of a parameter is multiplied by, for its name in the model."""
    if lr is not None:
        check_lr(lr)
    if layer_decay is None:
        if layers is not None:
            raise ValueError("layers= is for layer_decay=, which was not given")
        return lambda name: 1.0
    if not 0.0 < layer_decay <= 1.0:
        raise ValueError(f"layer_decay must lie in (0, 1], not {layer_decay!r}")
    if lr is None:
        raise ValueError("layer_decay= multiplies a learning rate: give lr= as well")
    if layers is None:
        found = find_layers(model)
        names, layers = [name for name, _ in found], [module for _, module in found]
        ends = f": {names[0]} … {names[-1]}" if len(names) > 1 else ""
        notes.append(f"layer_decay={layer_decay:g}: {len(layers)} layer(s) found{ends}")
        if len(layers) < 2:
            warn(
                f"{notes[-1]} in {type(model).__name__}, so all parameters have one learning rate: "
                "give layers=, the modules from the input to the output"
            )
    return scales(model, layers, layer_decay)


__all__ = ["Decision", "Groups", "hidden_matrices", "split"]

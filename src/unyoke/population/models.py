"""K models of one architecture as stacks: every weight once, with a first dimension that counts.

Row k of each stack belongs to model k. Weights are what is trained; ``fixed`` is what is not:
buffers, such as the running statistics of BatchNorm, and parameters that need no gradient.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from unyoke.population.generators import left_alone, seed_all

Named = dict[str, Tensor]


@dataclass
class Models:
    """Everything about K models that training changes, as tensors of shape [K, …].

    Attributes:
        weights: by parameter name.
        fixed: by name: buffers and parameters that are not trained.
        state: the optimizer's, by parameter name and by the name of the state. Numbers that it
            keeps per parameter, such as ``step``, have shape [K].
    """

    weights: Named
    fixed: Named
    state: dict[str, Named] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.weights.values())))

    def rows(self, rows: Sequence[int]) -> Models:
        """A copy of some of the models."""
        index = torch.tensor(rows, dtype=torch.int64)
        return self.map(lambda stack: stack[index.to(stack.device)])

    def map(self, function: Callable[[Tensor], Tensor]) -> Models:
        """The same with ``function`` applied to every stack."""
        return Models(
            _mapped(function, self.weights),
            _mapped(function, self.fixed),
            {name: _mapped(function, state) for name, state in self.state.items()},
        )

    def write(self, rows: Sequence[int], other: Models) -> None:
        """Put the models of ``other`` in the places ``rows``."""
        index = torch.tensor(rows, dtype=torch.int64)
        theirs = other.by_place()
        for place, stack in self.by_place().items():
            if stack is not theirs[place]:
                stack[index.to(stack.device)] = theirs[place]

    def by_place(self) -> dict[tuple[str, ...], Tensor]:
        """Every stack by where it stands: the part, the parameter and, in state, its name."""
        return {
            **{("weights", name): stack for name, stack in self.weights.items()},
            **{("fixed", name): stack for name, stack in self.fixed.items()},
            **{
                ("state", parameter, name): stack
                for parameter, state in self.state.items()
                for name, stack in state.items()
            },
        }


def _mapped(function: Callable[[Tensor], Tensor], named: Named) -> Named:
    return {name: function(stack) for name, stack in named.items()}


@dataclass
class Progress:
    """What has become of K models so far.

    Attributes:
        updates: made by those that still train.
        made: updates of each model, [K].
        active: the models that still train.
        diverged: model → the update at which it was found, 1 for the first.
        losses: of each model at its last update, before that update, [K] float64; NaN without.
        limits: losses above which each model counts as diverged, [K] float64.
    """

    updates: int
    made: Tensor
    active: list[int]
    diverged: dict[int, int]
    losses: Tensor
    limits: Tensor

    @classmethod
    def at_first(cls, count: int, active: list[int]) -> Progress:
        """Of so many models before the first update, of which these are to be trained."""
        return cls(
            updates=0,
            made=torch.zeros(count, dtype=torch.int64),
            active=active,
            diverged={},
            losses=torch.full((count,), math.nan, dtype=torch.float64),
            limits=torch.full((count,), math.inf, dtype=torch.float64),
        )


def trained(module: nn.Module) -> Named:
    """The parameters that need a gradient; tied ones once."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def untrained(module: nn.Module) -> Named:
    """Buffers and the parameters that need no gradient."""
    frozen = {name: p for name, p in module.named_parameters() if not p.requires_grad}
    return {**frozen, **dict(module.named_buffers())}


def make(factory: Callable[[], nn.Module], seeds: Sequence[int]) -> tuple[nn.Module, Models]:
    """One module as the pattern, and the stacked tensors of one model per seed.

    The factory is called once for each different seed, with the random numbers of torch, NumPy and
    Python seeded by it; they are as before afterwards.

    Raises:
        TypeError: the factory does not make modules.
        ValueError: the models are not of one architecture, or have nothing to train.
    """
    made: dict[int, nn.Module] = {}
    with left_alone(range(torch.cuda.device_count())):
        for seed in dict.fromkeys(seeds):
            seed_all(seed)
            module = factory()
            if not isinstance(module, nn.Module):
                raise TypeError(
                    f"model_factory must return a torch.nn.Module, not {type(module).__name__}: "
                    "give a function without arguments, such as lambda: nn.Linear(2, 1)"
                )
            made[seed] = module
    pattern = made[seeds[0]]
    if not trained(pattern):
        raise ValueError("the model has no parameter that needs a gradient: nothing to train")
    for seed, module in made.items():
        _check_same(pattern, module, seeds[0], seed)
    weights, fixed = (
        stacked([part(made[seed]) for seed in seeds]) for part in (trained, untrained)
    )
    return copy.deepcopy(pattern), Models(weights, fixed)


def stacked(rows: Sequence[Named]) -> Named:
    """Tensors of the same names, of one model each, as stacks."""
    return {name: torch.stack([row[name].detach() for row in rows]) for name in rows[0]}


def _check_same(pattern: nn.Module, module: nn.Module, seed: int, other: int) -> None:
    mine, theirs = (
        {
            name: (tuple(tensor.shape), tensor.dtype, tensor.device)
            for name, tensor in {**trained(m), **untrained(m)}.items()
        }
        for m in (pattern, module)
    )
    different = sorted(name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name))
    if different or trained(pattern).keys() != trained(module).keys():
        name = different[0] if different else "requires_grad"
        raise ValueError(
            f"model_factory gave two architectures: {name} is {mine.get(name)} for seed {seed} and "
            f"{theirs.get(name)} for seed {other}; a population has one"
        )


def load_row(module: nn.Module, models: Models, row: int) -> nn.Module:
    """Give ``module`` the weights and buffers of one model."""
    with torch.no_grad():
        for named, stacks in ((trained(module), models.weights), (untrained(module), models.fixed)):
            for name, tensor in named.items():
                tensor.copy_(stacks[name][row])
    return module

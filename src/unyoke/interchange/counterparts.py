"""Which of torch's optimizers is which direction, and under which names.

Torch's classes hold several algorithms each, told apart by switches in their groups (``amsgrad``,
``nesterov``, ``centered``); here each algorithm is a direction. A :class:`Form` is one of them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

TorchOptimizer = torch.optim.Optimizer
Group = Mapping[str, Any]

VERSIONED = frozenset(
    {"maximize", "foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay"}
)
"""Switches that torch's groups have or lack, depending on torch's version."""

Style = Literal["always", "never", "by flag"]


@dataclass(frozen=True)
class Form:
    """One algorithm of one of torch's classes, and the direction that it is.

    Attributes:
        direction: our name for it.
        optimizer: torch's class.
        shared: hyperparameters with one name and meaning on both sides.
        switches: what torch's groups hold for this algorithm, and the test for it.
        decouples: whether torch's weight decay is −lr·wd·θ: always, never, or by a group's
            ``decoupled_weight_decay``.
        counts: whether torch's state has ``step``.
        defaults: of the decoupling flag and of hyperparameters that torch spells None.
    """

    direction: str
    optimizer: type[TorchOptimizer]
    shared: tuple[str, ...]
    switches: Mapping[str, Any] = field(default_factory=dict)
    decouples: Style = "never"
    counts: bool = True
    flag: bool = False
    spelled_none: Mapping[str, Any] = field(default_factory=dict)

    @property
    def arguments(self) -> frozenset[str]:
        """The names that every version of torch has in the groups of this class."""
        return frozenset(inspect.signature(self.optimizer).parameters) - {"params"} - VERSIONED

    @property
    def idle(self) -> frozenset[str]:
        """Switches of this class's other algorithms, which are off in this one."""
        others = {
            name for form in FORMS if form.optimizer is self.optimizer for name in form.switches
        }
        return frozenset(others) - {*self.switches, *self.shared}

    @property
    def name(self) -> str:
        """For people: ``torch.optim.Adam(amsgrad=True)``."""
        switches = ", ".join(f"{name}={value!r}" for name, value in self.switches.items())
        return f"torch.optim.{self.optimizer.__name__}" + (f"({switches})" if switches else "")

    def matches(self, group: Group) -> bool:
        """Whether a group of torch's class, or of its checkpoint, runs this algorithm."""
        return all(bool(group.get(name)) == bool(value) for name, value in self.switches.items())

    def hyperparameters(self, group: Group) -> dict[str, Any]:
        """Ours, from a group of torch's."""
        found = {name: group[name] for name in self.shared}
        for name, value in self.spelled_none.items():
            found[name] = value if found[name] is None else found[name]
        if self.direction == "momentum":
            # torch leaves dampening alone where there is no momentum
            found["dampening"] = group["dampening"] if group["momentum"] else 0.0
        return found

    @property
    def constructor(self) -> tuple[str, ...]:
        """Arguments of torch's class that are numbers or switches of this algorithm."""
        switches = tuple(name for name in self.switches if name not in self.shared)
        return ("lr", "weight_decay", *self.shared, *switches)

    def can(self, style: str) -> bool:
        """Whether torch has this algorithm with no decay, a penalty or a decoupled decay."""
        able = {
            "always": ("decoupled",),
            "never": ("penalty",),
            "by flag": ("penalty", "decoupled"),
        }
        return style == "none" or style in able[self.decouples]

    def is_decoupled(self, group: Group) -> bool:
        """Whether a group of torch's decays its weights and not its gradients."""
        if self.decouples == "by flag":
            return bool(group.get("decoupled_weight_decay", self.flag))
        return self.decouples == "always"


def _forms() -> tuple[Form, ...]:
    optim = torch.optim
    adam, rmsprop = ("betas", "eps"), ("alpha", "eps")
    flag: dict[str, Any] = {"decouples": "by flag"}
    forms = [
        Form("gradient", optim.SGD, (), {"momentum": 0}, counts=False),
        Form("momentum", optim.SGD, ("momentum", "dampening"), {"nesterov": False}, counts=False),
        Form("nesterov", optim.SGD, ("momentum",), {"nesterov": True}, counts=False),
        Form("adam", optim.AdamW, adam, {"amsgrad": False}, **flag, flag=True),
        Form("amsgrad", optim.AdamW, adam, {"amsgrad": True}, **flag, flag=True),
        Form("adam", optim.Adam, adam, {"amsgrad": False}, **flag),
        Form("amsgrad", optim.Adam, adam, {"amsgrad": True}, **flag),
        Form("nadam", optim.NAdam, (*adam, "momentum_decay"), **flag),
        Form("radam", optim.RAdam, adam, **flag),
        Form("adamax", optim.Adamax, adam),
        Form("adagrad", optim.Adagrad, ("lr_decay", "initial_accumulator_value", "eps")),
        Form("adadelta", optim.Adadelta, ("rho", "eps")),
        Form("rmsprop", optim.RMSprop, rmsprop, {"centered": False, "momentum": 0}),
        Form("rmsprop_centered", optim.RMSprop, rmsprop, {"centered": True, "momentum": 0}),
        Form("rmsprop_momentum", optim.RMSprop, (*rmsprop, "momentum"), {"centered": False}),
        Form(
            "rmsprop_centered_momentum", optim.RMSprop, (*rmsprop, "momentum"), {"centered": True}
        ),
    ]
    muon = getattr(optim, "Muon", None)  # torch 2.9
    if muon is not None:
        shared = ("momentum", "ns_coefficients", "eps", "ns_steps", "adjust_lr_fn")
        none: dict[str, Any] = {"spelled_none": {"adjust_lr_fn": "original"}, "counts": False}
        for name, nesterov in (("muon", True), ("muon_momentum", False)):
            switch = {"nesterov": nesterov}
            forms.append(Form(name, muon, shared, switch, decouples="always", **none))
    return tuple(forms)


FORMS = _forms()
"""Every algorithm that torch and this library share; for each class the narrower ones first."""

NONE_HERE: Mapping[str, str] = {
    "Adafactor": "its second moments are factored by rows and columns, which no direction here is",
    "ASGD": "it averages the weights and decays them in a way of its own",
    "LBFGS": "it evaluates the model several times in a step and keeps a history of flat vectors",
    "Rprop": "it has a step size for every weight and no decay",
    "SparseAdam": "it is lazy: moments of rows without gradient stand still, as nowhere here",
}
"""Why some of torch's optimizers have no counterpart."""


def forms_of(optimizer: TorchOptimizer) -> list[Form]:
    """The algorithm that each group of an optimizer of torch's runs; one for all if one can.

    SGD without momentum in one group, and with it in another, are both ``momentum``.

    Raises:
        ValueError: there is no counterpart; says why.
    """
    cls = type(optimizer)
    groups = optimizer.param_groups
    own = [form for form in FORMS if form.optimizer is cls]
    for form in own:
        if all(form.matches(group) for group in groups):
            return [form] * len(groups)
    if own:
        return [next(form for form in own if form.matches(group)) for group in groups]
    if cls.__module__.startswith("torch.optim"):
        why = NONE_HERE.get(cls.__name__, "it is not known here")
        raise ValueError(f"torch.optim.{cls.__name__} has no counterpart: {why}. {_ADVICE}")
    raise ValueError(
        f"{cls.__module__}.{cls.__qualname__} is not one of torch's own optimizers, so its update "
        f"is not known here (of a wrapper, give the optimizer inside). {_ADVICE}"
    )


_ADVICE = "unyoke.decouple(cls) takes any optimizer's update as it is"


def forms_for(direction: str) -> tuple[Form, ...]:
    """The algorithms of torch's that a direction is; ``heavy_ball`` is SGD's at a constant rate."""
    name = "momentum" if direction == "heavy_ball" else direction
    return tuple(form for form in FORMS if form.direction == name)


def rows_for(directions: Sequence[str]) -> list[list[Form]]:
    """These directions in each class of torch's that runs all of them."""
    classes = dict.fromkeys(form.optimizer for name in directions for form in forms_for(name))
    rows = [
        [form for name in directions for form in forms_for(name) if form.optimizer is cls]
        for cls in classes
    ]
    return [row for row in rows if len(row) == len(directions)]


@functools.cache
def known_arguments() -> frozenset[str]:
    """All names that some optimizer of torch's has in its groups."""
    return frozenset().union(*(form.arguments for form in FORMS), VERSIONED)


def saved_form(direction: str, group: Group) -> Form | None:
    """The algorithm that a group of a torch checkpoint comes from, if ``direction`` is it.

    A checkpoint does not name its class; the names in its groups tell the classes apart, but for
    RAdam and Adamax, whose states differ.
    """
    names = (frozenset(group) & known_arguments()) - VERSIONED
    for form in forms_for(direction):
        if form.arguments == names and form.matches(group):
            return form
    return None

"""What a backend is: which work it can do, and the step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import torch

from unyoke.equation import Rule
from unyoke.storage.shards import WHOLE, Place


class Gradients(Sequence[torch.Tensor]):
    """The gradients that some weights have when looked at, one by one; none lives on by it."""

    def __init__(self, weights: Sequence[torch.Tensor]) -> None:
        self._weights = weights

    def __len__(self) -> int:
        return len(self._weights)

    def __getitem__(self, index: Any) -> Any:
        return self._weights[index].grad

    def __iter__(self) -> Iterator[Any]:
        return (weight.grad for weight in self._weights)


class DeviceCoefficients(NamedTuple):
    """Coefficients that a device has formed itself, of one set.

    Attributes:
        tables: the rule's coefficients in its order, in each dtype that kernels compute in.
        keys: what starts the update's random numbers.
    """

    tables: Mapping[torch.dtype, torch.Tensor]
    keys: torch.Tensor


@dataclass
class Work:
    """One update of one parameter group, ready to run; weights, grads and states are parallel.

    An update is what a formula makes of one element; all of a group together is a work.

    The object lives as long as rule, weights, state tensors and switches stay the same; only
    ``coefficients``, ``which``, ``updates`` and GradScaler's two are renewed at each step. So a
    backend may keep what it derives from the rest in ``cache``. A parameter's memory can move or
    change its shape between steps, and gradients may be new tensors at each: backends look at both
    every time.

    Attributes:
        rule: direction and decay.
        weights: the parameters that have a gradient.
        states: per parameter, its state by name; updated in place.
        coefficients: the distinct sets of the rule's coefficients, by name.
        which: per parameter the index of its set; None while there is one set.
        maximize: the gradient counts with its sign turned.
        differentiable: autograd records the update.
        rounding: how the weights are rounded; see :mod:`unyoke.storage.formats`.
        seed: of the random bits, with the two that follow.
        updates: for each set of coefficients, the number of this update, from 1.
        numbers: per parameter, a number of its own that stays the same.
        names: per parameter, what messages call it.
        grad_scale: GradScaler's scale, which the gradients still carry; a 0-d tensor.
        found_inf: GradScaler's verdict; unless it is 0, nothing may change. Both are only set for
            a backend that reads them on the device.
        device_coefficients: if the device has the coefficients and not the host; then
            ``coefficients`` and ``updates`` are an earlier update's, on the device.
        cache: the backends' own.
        kept: the same, handed on to other works of some of the same parameters.
        members: per parameter its place among all that ``kept`` is for; None: as they stand here.
        given_grads: gradients, where they are not those of the weights.
        givers: tensors whose gradients they are, where it is others than the weights.
        wholes: per parameter the DTensor that its weight is this process's part of, or None; empty
            if there is none.
        places: per parameter where its elements stand in the whole, as random bits count; empty if
            all weights are whole.
    """

    rule: Rule
    weights: Sequence[torch.Tensor]
    states: Sequence[dict[str, Any]]
    coefficients: Sequence[dict[str, Any]] = ()
    which: Sequence[int] | None = None
    maximize: bool = False
    differentiable: bool = False
    rounding: str = "nearest"
    seed: int = 0
    updates: Sequence[int] = ()
    numbers: Sequence[int] = ()
    names: Sequence[str] = ()
    grad_scale: torch.Tensor | None = None
    found_inf: torch.Tensor | None = None
    device_coefficients: DeviceCoefficients | None = None
    cache: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    members: Sequence[int] | None = None
    given_grads: Sequence[torch.Tensor] | None = None
    givers: Sequence[torch.Tensor] | None = None
    wholes: Sequence[Any] = ()
    places: Sequence[Place] = ()

    @property
    def grads(self) -> Sequence[torch.Tensor]:
        """Per parameter its gradient; never written."""
        if self.given_grads is not None:
            return self.given_grads
        return Gradients(self.weights if self.givers is None else self.givers)

    def part(self, indices: Sequence[int], **changes: Any) -> Work:
        """Some of the parameters as a work of their own, with other values of ``changes``.

        ``which`` is the whole work's.
        """
        parallel = ("weights", "states", "numbers", "names", "wholes", "places")
        own = {name: [each[k] for k in indices] for name in parallel if (each := vars(self)[name])}
        return replace(self, **{**own, "cache": {}, "kept": {}, "members": None, **changes})

    def coefficients_of(self, index: int) -> dict[str, Any]:
        """The coefficients of one parameter."""
        return self.coefficients[0 if self.which is None else self.which[index]]

    def is_stacked(self, index: int) -> bool:
        """Whether a parameter is that of several stacked models, with coefficients for each."""
        values = self.coefficients_of(index).values()
        return any(isinstance(each, torch.Tensor) and each.dim() == 1 for each in values)

    @property
    def models(self) -> int | None:
        """K, if a coefficient is [K], one number for each of K stacked models."""
        values = (value for each in self.coefficients for value in each.values())
        stacks = (each for each in values if isinstance(each, torch.Tensor) and each.dim() == 1)
        return next(map(len, stacks), None)

    def place_of(self, index: int) -> Place:
        """Where one parameter's elements stand in the whole."""
        return self.places[index] if self.places else WHOLE

    def label(self, index: int) -> str:
        """One parameter as messages name it, with its shape."""
        name = f" {self.names[index]}" if self.names else ""
        return f"parameter{name} of shape {tuple(self.weights[index].shape)}"

    def update_of(self, index: int) -> int:
        """The number of one parameter's update."""
        return self.updates[0 if self.which is None else self.which[index]]


class Backend(ABC):
    """A way to run a rule over tensors."""

    name: str
    resumes = False
    """Whether ``step``, called again after an interrupt, goes on where it was interrupted."""

    @abstractmethod
    def why_not(self, work: Work) -> str | None:
        """What this backend lacks for the work, as one line for people; None if it can do it.

        Asked before each step and before anything is changed, so it must be cheap.
        """

    def missing(self) -> str | None:
        """What this machine lacks, whatever the work: a package, a device; None if nothing."""
        return None

    def tried(self) -> str | None:
        """What this machine lacks, found out by trying, which may take seconds."""
        return self.missing()

    def remark(self) -> str | None:
        """What people should know of this backend here, though it works; None if nothing."""
        return None

    @abstractmethod
    def step(self, work: Work) -> None:
        """Update the weights and the states in place."""

    def captured(self, work: Work) -> Captured | None:
        """What is kept of the update that was made; None for backends that cannot replay one."""
        return None


@dataclass(frozen=True)
class Formation:
    """How the coefficients of a group's coming update are formed.

    Attributes:
        group: the parameter group; its entries are read anew for each update.
        form: ``(t, group)`` → coefficients by name, and numbers that only have limits.
        names: of the coefficients, in the order of the row.
        row: the address where they go, as float64; the seed of random bits and t stand behind.
        steps: of the parameters' steps where their memory is, what is known of it and what
            follows; and how many words these are. They are all the same.
        limits: of entries and of what is formed, ``least ≤ number < below``; a number outside is
            looked at more closely.
    """

    group: dict[str, Any]
    form: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]
    names: Sequence[str]
    row: int
    steps: tuple[int, int, int, int]
    limits: Mapping[str, tuple[float, float]]


class DataPointers(Protocol):
    """Writes the addresses of tensors, and looks whether all else is as it was.

    Attributes:
        check: for compiled code to ask what :meth:`holds` asks: the addresses of the code and of
            what it is told; None where only Python can.
        moves: a number that has grown if anything has moved.
    """

    @property
    def check(self) -> tuple[int, int] | None: ...
    @property
    def moves(self) -> int: ...
    def holds(self) -> bool:
        """Write where everything is; False if anything is not what it was, but for its place."""


class Captured(Protocol):
    """What a backend keeps of an update, to make it again with other numbers.

    Attributes:
        pointers: to the tensors.
        kernels: those that compiled code may run, each by the addresses of its code and of what it
            is told, and its range of chunks; what is left is for :meth:`finish`.
        row: where compiled code may put the coefficients of the coming update, instead of
            :meth:`take`, as :class:`Formation` says; None if it may not, or if there is something
            left for :meth:`finish`.
    """

    pointers: Sequence[DataPointers]
    kernels: Sequence[tuple[int, int, int, int]] = ()
    row: int | None = None

    @property
    def checks(self) -> Sequence[tuple[int, int]] | None:
        """Compiled guards of the tensors; None where only ``why_not`` can say whether they hold."""
        found = [each.check for each in self.pointers]
        return None if None in found else [each for each in found if each is not None]

    def are_there(self) -> bool:
        """Look up where all tensors are; False if one is not what it was, but for its place."""
        return all(each.holds() for each in self.pointers)

    def take(self, work: Work) -> bool:
        """Take over the numbers of the coming update; False if they are of another kind."""

    def finish(self, work: Work) -> None:
        """Make of an update what no kernel of :attr:`kernels` makes; its versions are counted."""

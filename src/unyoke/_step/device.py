"""Steps that a CUDA graph can record: the count of updates and all coefficients on the device.

A graph's replay runs no Python. So what depends on t is computed by the device from its own
counters: the coefficients by the same functions, on float64 tensors; η_t and λ_t, where they are
functions of t, from a table that is made once. Where the gpu backend makes the whole step, these
functions are run once on symbols and made into one kernel, which also counts. The same
counters make it possible to skip an update on the device, when GradScaler finds an infinity,
without the host ever waiting for the verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from unyoke import backends
from unyoke._step.counters import DTYPES, distinct
from unyoke._step.hyperparameters import Group, WeightDecay, depends_on_t, rate, weight_decay_at
from unyoke._step.plan import Plan
from unyoke.backends.symbols import Unwritable
from unyoke.equation import Hyperparameters, Rule
from unyoke.schedules import Schedule

if TYPE_CHECKING:
    from unyoke.backends.gpu.coefficients import CoefficientKernel

HORIZON = 1 << 18
"""Entries of a table of a schedule without a budget; the last is held afterwards."""


class Clock:
    """The number of updates of a group, and what depends on it, on a device.

    Args:
        index: of the parameter group.
        group: the parameter group.
        schedule: of the optimizer.
        weight_decay: of the group, as it was given, if it depends on t.
        device: of the parameters.

    Attributes:
        updates: their number, int64 on the device.
        has_counted: whether the update that is being made is counted already.
    """

    def __init__(
        self,
        index: int,
        group: Group,
        schedule: Schedule | None,
        weight_decay: WeightDecay | None,
        device: torch.device,
    ) -> None:
        self._index = index
        self.updates = torch.tensor(group["updates"], device=device)
        self.has_counted = False
        budget = schedule.budget if isinstance(schedule, Schedule) else None
        length = 1 + (budget or HORIZON)
        self._etas = None if schedule is None else self._table(schedule, length)
        self._decays = None
        if weight_decay is not None and depends_on_t(weight_decay):
            decay = weight_decay
            self._decays = self._table(lambda t: weight_decay_at(decay, t, schedule), length)

    @property
    def takes(self) -> list[str]:
        """What :meth:`rates` reads in the group; the rest it has in tables."""
        lr = ["lr"] if self._etas is None else []
        return ["base_lr", *lr, *(["weight_decay"] if self._decays is None else [])]

    def _table(self, function: Callable[[int], Any], length: int) -> torch.Tensor:
        values = [float(function(t)) for t in range(length)]
        return torch.tensor(values, dtype=torch.float64).to(self.updates.device)

    def check(self, group: Group) -> None:
        """Refuse an lr that no η_t explains, as far as the host can see it."""
        if self._etas is None and isinstance(group["lr"], float):
            rate(None, self._index, group)

    def rates(
        self, group: Hyperparameters, now: Callable[[torch.Tensor], Any]
    ) -> tuple[Any, Any, Any]:
        """(α·η_t, η_t, λ) of the coming update; ``now`` reads tables, as :meth:`now` does."""
        weight_decay = group["weight_decay"] if self._decays is None else now(self._decays)
        if self._etas is None:
            return *rate(None, self._index, group), weight_decay
        eta = now(self._etas)
        return group["base_lr"] * eta, eta, weight_decay

    def now(self, table: torch.Tensor) -> torch.Tensor:
        """What a table holds for the coming update; its last number stays for good."""
        place = self.updates.clamp(max=len(table) - 1)
        return table.index_select(0, place.view(1)).view(())

    def advance(self, group: Group, made: Any) -> None:
        """Count an update if it was made, and show the coming one's rate if that is a tensor."""
        if not self.has_counted:
            self.updates.add_(made)
        self.has_counted = False
        if self._etas is not None and isinstance(group["lr"], torch.Tensor):
            group["lr"].copy_(group["base_lr"] * self.now(self._etas))


class DeviceCounters:
    """The parameters' counters on their device, advanced there.

    Which parameters share a set is found once: all that are in a plan count in step.

    Attributes:
        views: for each name, the tensors that the states hold.
        flats: all values of each name.
        which: per parameter the index of its set; None while there is one set.
        placed: nothing: no address is kept.
    """

    placed: Sequence[tuple[torch.Tensor, int]] = ()

    def __init__(
        self, states: Sequence[dict[str, Any]], names: Sequence[str], device: torch.device
    ) -> None:
        self.views: dict[str, list[torch.Tensor]] = {}
        self.which: list[int] | None = None
        self._names = tuple(names)
        self._first: list[int] = []
        self.flats: list[torch.Tensor] = []
        self._versions: list[int] = []
        for name in names:
            dtype = DTYPES.get(name, torch.float64)
            flat = torch.stack([state[name].to(device, dtype) for state in states])
            self.flats.append(flat)
            self.views[name] = list(flat.unbind())
            for state, view in zip(states, self.views[name], strict=True):
                state[name] = view

    def are_own(self) -> bool:
        """Whether all count in step and nobody else has written."""
        versions = [flat._version for flat in self.flats]
        return versions == self._versions and self.which is None

    def read(self) -> list[tuple[torch.Tensor, ...]]:
        """Each set's values, in float64; waits for the device only if somebody else has written."""
        versions = [flat._version for flat in self.flats]
        if versions != self._versions:
            sets, self.which = distinct([flat.tolist() for flat in self.flats])
            self._first = [self.which.index(k) if self.which else 0 for k in range(len(sets))]
            self._versions = versions
        return [tuple(flat[k].double() for flat in self.flats) for k in self._first]

    def advance(self, coefficients: Sequence[Mapping[str, Any]], made: Any) -> None:
        """Count an update, if it was made; scalars become what stands among the coefficients."""
        for name, flat in zip(self._names, self.flats, strict=True):
            if name == "step":
                new = flat + 1
            else:
                values = [each[name].to(flat.dtype) for each in coefficients]
                new = torch.stack([values[k] for k in self.which]) if self.which else values[0]
            if isinstance(made, torch.Tensor):
                new = torch.where(made != 0, new, flat)
            flat.copy_(new)
        self._versions = [flat._version for flat in self.flats]


class DevicePlan(Plan):
    """A plan whose counters and coefficients are on the device.

    Args:
        clock: of the group.
    """

    def __init__(
        self,
        rule: Rule,
        group: Group,
        params: list[torch.Tensor],
        weights: Sequence[torch.Tensor],
        states: Sequence[dict[str, Any]],
        numbers: Sequence[int],
        words: Collection[str],
        clock: Clock,
    ) -> None:
        devices = {weight.device for weight in weights}
        if len(devices) > 1:
            raise RuntimeError(
                "capturable=True needs the parameters of a group on one device, and these are on "
                f"{', '.join(sorted(map(str, devices)))}: give each device a group of its own"
            )
        (self._device,) = devices
        super().__init__(rule, group, params, weights, states, numbers, words)
        self._clock = clock
        self._coefficient_kernel: CoefficientKernel | None = None
        self._is_hopeless = False  # there is no text for the formula
        self._kept: list[Any] = []  # what graphs read
        self.is_recorded = False
        self._is_counted = False  # the prepared update

    def _count(self, states: Sequence[dict[str, Any]], names: Sequence[str]) -> Any:
        return DeviceCounters(states, names, self._device)

    @property
    def can_choose(self) -> bool:
        """A graph may read all of it: nothing of it is changed."""
        return False

    def prepare(self, lr: Any, eta: Any, backend: str) -> None:
        before = self._dispatch
        super().prepare(lr, eta, backend)
        if self.work.device_coefficients is not None and not self._is_for_kernels():
            self._drop_kernel()
            super().prepare(lr, eta, backend)
        if self.is_recorded and before is not None and before is not self._dispatch:
            self._kept.append(before)
        self._check_scaled()

    def _is_for_kernels(self) -> bool:
        """Whether kernels on the device do the whole work."""
        return [backend.name for backend, _ in self.assignments] == ["gpu"]

    def form(self, lr: Any, eta: Any) -> None:
        work, kernel = self.work, self._coefficient_kernel
        self._begun, self._is_counted = 0, False
        self._clock.has_counted = False  # an update that failed may have left it
        self._clock.check(self.group)
        scaled = work.found_inf is not None
        if kernel is not None and self.counters.are_own() and kernel.holds(self._values(), scaled):
            work.device_coefficients = kernel.device_coefficients
            return
        work.device_coefficients = None
        self._drop_kernel()
        self._form_numbers()

    def _values(self) -> dict[str, Any]:
        """What the group's numbers are formed from."""
        names = (*self._clock.takes, *self.work.rule.defaults)
        return {name: self.group[name] for name in names}

    def _drop_kernel(self) -> None:
        if self.is_recorded and self._coefficient_kernel is not None:
            self._kept.append(self._coefficient_kernel)
        self._coefficient_kernel = None

    def _form_numbers(self) -> None:
        """Form the coefficients by torch's operations, each a kernel of its own on a GPU."""
        work = self.work
        work.updates, work.coefficients = [], []
        for step, *scalars in self.counters.read():
            t = step + 1
            work.updates.append(t.to(torch.int32))
            work.coefficients.append(self._formed(t, scalars, self.group, self._clock.now))
        work.which = self.counters.which

    def _formed(
        self, t: Any, scalars: Sequence[Any], values: Mapping[str, Any], now: Callable[..., Any]
    ) -> dict[str, Any]:
        """The coefficients of update t, of numbers on the device or of symbols of these."""
        group = {**self.group, **values}
        lr, eta, group["weight_decay"] = self._clock.rates(group, now)
        return self.work.rule.coefficients(t, eta, lr, group, *scalars)

    def captured(self) -> None:
        """None: what a recording needs is looked at in the long way, and replays are short."""

    def _check_scaled(self) -> None:
        others = [backend.name for backend, _ in self.assignments if backend.name != "gpu"]
        if self.work.found_inf is not None and others:
            raise RuntimeError(
                "GradScaler has left its scale in the gradients for the gpu backend to take out, "
                f"and some of this group's tensors go to {', '.join(others)}: use "
                "capturable=False, which lets GradScaler skip the step itself"
            )

    def run(self) -> None:
        if not self._is_counted:
            self._is_counted = True  # before it is: it would not be right twice
            self._count_on_device()
        self._run_assignments()

    def _count_on_device(self) -> None:
        """Form the numbers, if a kernel does that, and count the update."""
        work, kernel = self.work, self._coefficient_kernel
        if work.device_coefficients is not None and kernel is not None:
            kernel.run(work.found_inf, work.seed)
            self._clock.has_counted = True
        else:
            if not self._is_hopeless and self.counters.which is None and self._is_for_kernels():
                self._build()
            self.counters.advance(work.coefficients, counts(work.found_inf))

    def _build(self) -> None:
        """Have the numbers of coming updates formed by a kernel of their own."""
        rule, updates, scaled = self.work.rule, self._clock.updates, self.work.found_inf is not None
        counters = dict(zip(("step", *rule.scalars), self.counters.flats, strict=True))
        try:
            self._coefficient_kernel = backends.GPU.coefficient_kernel(
                self._formed, rule.coefficient_names, self._values(), updates, counters, scaled
            )
        except Unwritable:
            self._is_hopeless = True


class OnDevice:
    """An optimizer's capturable groups: their clocks, and what CUDA graphs have recorded.

    Attributes:
        clocks: by the number of the group.
    """

    def __init__(self) -> None:
        self.clocks: dict[int, Clock] = {}
        self._recorded: list[Plan] = []

    def check(self, group: Group, weights: Sequence[torch.Tensor], plan: Plan | None) -> None:
        """Refuse to freeze one update's numbers into a CUDA graph; keep what a graph will read.

        Raises:
            RuntimeError: the step is being recorded, and the group is not ready for that.
        """
        if not (weights[0].is_cuda and torch.cuda.is_current_stream_capturing()):
            return
        if plan is None or not group["capturable"]:
            raise RuntimeError(
                "this step is being recorded into a CUDA graph, and every replay would repeat the "
                "coefficients of this one update: construct the optimizer with capturable=True, "
                "and make one step with the same parameters before recording"
            )
        if plan not in self._recorded:
            self._recorded.append(plan)
        if isinstance(plan, DevicePlan):
            plan.is_recorded = True

    def advance(self, groups: Sequence[Group], found_inf: torch.Tensor | None) -> None:
        """Count an update of every group, unless GradScaler has found an infinity."""
        for index, clock in self.clocks.items():
            clock.advance(groups[index], counts(found_inf))

    def count(self, groups: Sequence[Group]) -> None:
        """Write the number of updates that the device has made into the groups; waits for it."""
        for index, clock in self.clocks.items():
            groups[index]["updates"] = int(clock.updates)


def scale(optimizer: object) -> torch.Tensor | None:
    """What GradScaler has multiplied the gradients by, if the step is to take it out.

    GradScaler gives it and the verdict to the optimizer as attributes while it calls ``step``, and
    asks whether they are there already: outside of that they must not exist, not even as None.
    """
    return getattr(optimizer, "grad_scale", None)


def verdict(optimizer: object) -> torch.Tensor | None:
    """Not 0 if GradScaler has found an infinity; None if it does not ask the step to look."""
    return getattr(optimizer, "found_inf", None)


def counts(found_inf: torch.Tensor | None) -> Any:
    """1 if an update counts, 0 if GradScaler has found an infinity; stays on the device."""
    return 1 if found_inf is None else (found_inf == 0).reshape(()).to(torch.int64)


def amp_on_device(groups: Sequence[Group], backend: str) -> bool:
    """Whether every group's step takes GradScaler's scale and verdict on the device."""
    return (
        backend in ("auto", "gpu")
        and backends.GPU.missing() is None
        and all(group["capturable"] for group in groups)
    )

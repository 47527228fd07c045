"""monitor(): readings of an optimizer while it trains, at an interval and on demand."""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from unyoke.monitoring import measure
from unyoke.monitoring.decay import FollowedDecay
from unyoke.monitoring.reading import GroupReading, LayerReading, Reading
from unyoke.monitoring.words import warnings_of
from unyoke.monitoring.writers import Writer
from unyoke.transfer.run import rotation

EVERY = 250
"""Updates from one reading to the next: less than 1 % of an iteration (benchmarks/monitor.py)."""


NEVER = 1 << 62
"""Updates to wait for a reading that nobody has asked for."""


def monitor(
    optimizer: torch.optim.Optimizer,
    *,
    every: int = EVERY,
    updates: int | None = None,
    updates_per_epoch: float | None = None,
    writers: Writer | Sequence[Writer] = (),
    model: torch.nn.Module | None = None,
    watch: Callable[[str, torch.Tensor], bool] | None = None,
    say: Callable[[str], None] | None = None,
) -> Monitor:
    """Watch what weight decay does in a training.

    Per layer: the weight's norm, the update-to-weight ratio, the rotation per update beside what
    it is in equilibrium, and the decay's share of the update. Per group: what an update takes, Σηλ
    so far and to come, τ and what is left. Between readings an update costs one more Python call;
    for a reading the watched weights are copied once.

    Args:
        optimizer: ours or torch's. For a wrapper (Accelerate's), the wrapper, on which ``step`` is
            called.
        every: updates from one reading to the next; the first is read too. 0 reads on demand only.
        updates: the budget, in updates from the beginning; the schedule's own if left out.
        updates_per_epoch: to judge τ against a pass over the data.
        writers: where readings go.
        model: to name the layers, where the optimizer was made without names.
        watch: ``(name, weight)`` → whether a layer is read; matrices and larger by default.
        say: what takes each warning, once, such as ``print``; readings carry them anyway.

    Returns:
        The monitor. ``last`` is its latest reading, ``read()`` asks for one of the next update.

    Raises:
        TypeError: something else than an optimizer, such as a model.
        ValueError: an interval or budget out of its range.

    >>> import torch, unyoke
    >>> layer = torch.nn.Linear(20, 10)
    >>> optimizer = unyoke.AdamW(layer.parameters(), lr=1e-3, weight_decay=1e-5)
    >>> watching = unyoke.monitor(optimizer, model=layer, updates=1000)
    >>> layer(torch.ones(20)).sum().backward()
    >>> optimizer.step()
    >>> [row.name for row in watching.last.layers], round(watching.last.groups[0].decay_to_come, 5)
    (['weight'], 0.00999)
    >>> print(watching.last.warnings[0][:56])
    group 0: decay takes 0.995 % of a weight in the whole ru
    """
    return Monitor(
        optimizer,
        every=every,
        updates=updates,
        updates_per_epoch=updates_per_epoch,
        writers=writers,
        model=model,
        watch=watch,
        say=say,
    )


class Monitor:
    """See :func:`monitor`.

    Attributes:
        last: the latest reading; None before the first.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        every: int,
        updates: int | None,
        updates_per_epoch: float | None,
        writers: Writer | Sequence[Writer],
        model: torch.nn.Module | None,
        watch: Callable[[str, torch.Tensor], bool] | None,
        say: Callable[[str], None] | None,
    ) -> None:
        if not hasattr(optimizer, "param_groups"):
            raise TypeError(
                f"monitor takes an optimizer, not {type(optimizer).__name__}: give "
                "monitor(optimizer, model=model)"
            )
        for name, value, least in (("every", every, 0), ("updates", updates, 1)):
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int) or value < least
            ):
                raise ValueError(f"monitor: {name} must be an integer ≥ {least}, not {value!r}")
        if updates_per_epoch is not None and not updates_per_epoch > 0:
            raise ValueError(f"monitor: updates_per_epoch must be > 0, not {updates_per_epoch!r}")
        self.last: Reading | None = None
        self._optimizer = weakref.ref(optimizer)
        self._every = every
        self._budget = updates
        self._per_epoch = updates_per_epoch
        self._writers = [*writers] if isinstance(writers, Iterable) else [writers]
        self._names = {} if model is None else {p: n for n, p in model.named_parameters()}
        self._watch = watch or (lambda name, weight: weight.dim() >= 2)
        self._say = say
        self._said: set[str] = set()
        self._count = 0  # of step() since the monitor was made, up to the last reading
        self._wait = self._planned = 0 if every else NEVER  # updates before the next reading
        self._decays: list[FollowedDecay] = []
        self._made_before = _updates_made(optimizer)
        self._attach(optimizer)

    def read(self) -> None:
        """Take a reading at the next update; it is then ``last``."""
        self._count += self._planned - self._wait
        self._wait = self._planned = 0

    def close(self) -> None:
        """Watch no longer, and close the writers."""
        optimizer = self._optimizer()
        if optimizer is not None and optimizer.__dict__.get("step") is self._attached:
            del optimizer.__dict__["step"]
        self._wait = self._planned = NEVER
        for writer in self._writers:
            writer.close()

    # Around the step

    def _attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Put a function before ``step``: hooks would cost more between readings.

        It is a method, bound to no strong reference, because torch's schedulers take it apart and
        nothing may keep the optimizer alive.
        """
        inner = _function_of(optimizer)
        reference = self._optimizer

        def step(_: Any, *args: Any, **keywords: Any) -> Any:
            owner: Any = reference()
            if self._wait:  # a subtraction is all that stands between most updates
                self._wait -= 1
                return inner(owner, *args, **keywords)
            return self._watched(owner, lambda: inner(owner, *args, **keywords))

        for name in ("_wrapped_by_lr_sched", "hooked"):
            if name in getattr(inner, "__dict__", {}):
                setattr(step, name, inner.__dict__[name])
        self._attached = types.MethodType(step, weakref.proxy(optimizer))
        optimizer.step = self._attached  # type: ignore[method-assign]

    def _watched(self, optimizer: torch.optim.Optimizer, step: Callable[[], Any]) -> Any:
        layers = self._layers(optimizer)
        weights = [weight for _, _, weight in layers]
        if len(self._decays) != len(optimizer.param_groups) or any(
            decay.group is not group
            for decay, group in zip(self._decays, optimizer.param_groups, strict=True)
        ):
            self._decays = [FollowedDecay(optimizer, k) for k in range(len(optimizer.param_groups))]
        nows = [decay.now() for decay in self._decays]
        before = measure.copies(weights)
        result = step()
        self._count += self._planned + 1
        self._wait = self._planned = self._every - 1 if self._every else NEVER
        self._keep(optimizer, layers, measure.moved(weights, before), nows)
        return result

    def _layers(self, optimizer: torch.optim.Optimizer) -> list[tuple[int, str, torch.Tensor]]:
        """(group, name, weight) of those that are watched and will move."""
        found = []
        for index, group in enumerate(optimizer.param_groups):
            names = group.get("param_names") or [None] * len(group["params"])
            for number, (weight, own) in enumerate(zip(group["params"], names, strict=True)):
                name = own or self._names.get(weight) or f"group{index}.{number}"
                if weight.grad is not None and self._watch(name, weight):
                    found.append((index, name, weight))
        return found

    def _keep(
        self,
        optimizer: torch.optim.Optimizer,
        layers: Sequence[tuple[int, str, torch.Tensor]],
        moved: Sequence[measure.Moved],
        nows: Sequence[GroupReading],
    ) -> None:
        # An update that a GradScaler skips is none for an optimizer that counts its own
        own = optimizer.param_groups[0].get("updates")
        update = self._made_before + self._count if own is None else int(own)
        schedule = self._decays[0].schedule
        budget = self._budget or (None if schedule is None else schedule.budget)
        groups = tuple(
            decay.completed(now, update, budget)
            for decay, now in zip(self._decays, nows, strict=True)
        )
        rows = tuple(
            _layer_reading(name, one, groups[index], self._decays[index].momentum)
            for (index, name, _), one in zip(layers, moved, strict=True)
        )
        words = warnings_of(optimizer, groups, update, budget, self._per_epoch)
        self.last = Reading(update, groups, rows, words)
        for writer in self._writers:
            writer.write(self.last)
        for text in words:
            if self._say is not None and text[:24] not in self._said:
                self._said.add(text[:24])
                self._say(text)


def _layer_reading(
    name: str, moved: measure.Moved, group: GroupReading, momentum: float | None
) -> LayerReading:
    part = group.effective_decay
    return LayerReading(
        name=name,
        group=group.index,
        weight_norm=moved.before,
        update_ratio=moved.ratio,
        rotation=moved.rotation,
        rotation_predicted=None if part is None or momentum is None else rotation(part, momentum),
        decay_share=None if part is None else moved.decay_share(part),
    )


def _function_of(optimizer: torch.optim.Optimizer) -> Callable[..., Any]:
    """``step`` as a function of the optimizer: the class's, or what somebody has put before it."""
    own = vars(optimizer).get("step")
    if own is None:
        return type(optimizer).step
    return lambda _, *args, **keywords: own(*args, **keywords)  # a scheduler's, a monitor's


def _updates_made(optimizer: torch.optim.Optimizer) -> int:
    """Updates before the monitor was made, as far as the optimizer counts them."""
    group: Mapping[str, Any] = optimizer.param_groups[0] if optimizer.param_groups else {}
    if "updates" in group:
        return int(group["updates"])
    steps = (state["step"] for state in optimizer.state.values() if "step" in state)
    return max((int(step) for step in steps), default=0)

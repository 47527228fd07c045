"""Per-parameter numbers (``step``, …), kept so that a whole group is read and advanced at once.

torch's checkpoints hold a 0-d tensor for each parameter. Here these tensors are views of one flat
tensor for the group, which is cheap to compare with what was left there.
"""

from __future__ import annotations

import math
import weakref
from array import array
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from unyoke.backends.guards import Placed

WIDE = torch.float64
DTYPES = {"step": torch.float32}

EXACT = 2.0**24
"""Steps up to which a float32 counts."""


def initial(name: str, sums: Collection[str] = (), models: int | None = None) -> torch.Tensor:
    """The number of a parameter that was never updated, 0-d; or one for each of K models, [K].

    Args:
        name: ``"step"`` or that of a scalar.
        sums: the scalars that begin at 0, as ``step`` does; the others at 1.
        models: K.
    """
    shape = () if models is None else (models,)
    first = torch.zeros if name == "step" or name in sums else torch.ones
    return first(shape, dtype=DTYPES.get(name, WIDE))


def _plain(value: Any) -> float:
    """A number that lr, a 0-d tensor, has made one of; autograd does not follow it."""
    return value if isinstance(value, float) else float(torch.as_tensor(value).detach())


def distinct(columns: Sequence[Sequence[Any]]) -> tuple[list[tuple[Any, ...]], list[int] | None]:
    """The distinct rows of some columns, and which of them each row is; None if there is one."""
    # No list of rows: so many new tuples would set off the garbage collector
    index = {row: k for k, row in enumerate(dict.fromkeys(zip(*columns, strict=True)))}
    rows = zip(*columns, strict=True)
    return list(index), [index[row] for row in rows] if len(index) > 1 else None


Numbers: TypeAlias = np.ndarray[Any, Any]


class Counters:
    """The numbers of some parameters; ``states[i][name]`` become views into one flat tensor.

    Attributes:
        names: ``"step"`` and the rule's scalars.
        views: for each name, the tensors that the states hold.
        sets: the distinct sets of values, as of :meth:`read` and the updates since.
        which: per parameter the index of its set; None while there is one set.
        placed: the views of each name, with where they lie. If one is elsewhere (its storage was
            moved into shared memory, or it was given other data), make other counters before this
            is used.
        can_be_replayed: whether compiled code may look at the counters and advance them.
    """

    can_be_replayed = True

    def __init__(self, states: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.views: dict[str, list[torch.Tensor]] = {}
        self.sets: list[tuple[Any, ...]] = []
        self.which: list[int] | None = None
        self._memory: list[Numbers] = []
        self._known: list[Numbers] = []
        self._following: list[Numbers] = []
        self._following_sets: list[tuple[Any, ...]] = []
        self.placed: list[Placed] = []
        count = len(states)
        for name in self.names:
            values = [float(state[name]) for state in states]
            # An even number of them: compiled code compares words of 64 bits
            flat = torch.tensor([*values, *[0.0] * (count % 2)], dtype=DTYPES.get(name, WIDE))
            self.views[name] = list(flat[:count].unbind())
            self._memory.append(flat.numpy())
            self._known.append(np.full_like(flat, math.nan))
            self._following.append(np.zeros_like(flat))
            for state, view in zip(states, self.views[name], strict=True):
                state[name] = view
            self.placed.append(Placed.of(self.views[name]))
        # NaN in _known compares unequal in its bytes to every count, so the first look reads all
        self._ahead = array("q", (0,))  # 1: compiled code has counted, and ``sets`` are old
        self._count, self._others, self._scalars = count, False, self.names[1:]
        self._chosen: Any = slice(count)
        # torch.utils.swap_tensors would make another tensor of a view; it refuses this
        self._not_swapped = [weakref.ref(view) for views in self.views.values() for view in views]

    @classmethod
    def of(cls, states: Sequence[dict[str, Any]], names: Sequence[str]) -> Counters:
        """The counters of these states: in shared memory, if somebody has put them there."""
        steps = (state["step"] for state in states)
        tensors = (step for step in steps if isinstance(step, torch.Tensor))
        is_shared = any(step.is_cpu and step.untyped_storage().is_shared() for step in tensors)
        numbers = (state[name] for name in names[1:] for state in states)
        if any(isinstance(number, torch.Tensor) and number.dim() for number in numbers):
            return StackedCounters(states, names)
        return (SharedCounters if is_shared else cls)(states, names)

    def choose(self, chosen: Sequence[int]) -> None:
        """From now on the coming update is of these parameters only; the others' numbers stay."""
        self._chosen = np.array(chosen, dtype=np.int64)
        self._others = len(chosen) < self._count
        for known in self._known:
            known.fill(math.nan)  # so that they are read

    @property
    def rows(self) -> list[tuple[int, int, int, int, int]]:
        """For each name where its memory is, what is known of it and what follows; words; ahead."""
        ahead = self._ahead.buffer_info()[0]
        return [
            (held.ctypes.data, known.ctypes.data, following.ctypes.data, held.nbytes // 8, ahead)
            for held, known, following in zip(
                self._memory, self._known, self._following, strict=True
            )
        ]

    def read(self) -> None:
        """Bring ``sets`` and ``which`` up to date, if anybody has written, by whatever way."""
        pairs = zip(self._memory, self._known, strict=True)
        if self._ahead[0] or any(memory.tobytes() != known.tobytes() for memory, known in pairs):
            self._recount(self._memory)

    def catch_up(self) -> None:
        """Bring ``sets`` up to date, if compiled code has counted.

        The counters' memory is not read: whether it still is where it was has not been asked yet.
        """
        if self._ahead[0]:
            self._recount(self._known)

    def _recount(self, source: Sequence[Numbers]) -> None:
        sets, which = distinct([numbers[self._chosen].tolist() for numbers in source])
        for step, *_ in sets:
            if not (0 <= step < math.inf and step % 1 == 0):
                raise ValueError(
                    f'the state of a parameter has step = {step:g}. state["step"] counts its '
                    "updates and must be an integer ≥ 0: was it written into?"
                )
        self.sets, self.which = sets, which
        for numbers, known in zip(source, self._known, strict=True):
            known[:] = numbers
        self._ahead[0] = 0

    def form(self, coefficients: Sequence[Mapping[str, Any]]) -> None:
        """Form what follows an update with these coefficients, of which scalars are a part."""
        if self.which is None and not self._scalars and not self._others:  # as nearly always
            step = self.sets[0][0] + 1
            self._following_sets = [(step,)]
            self._following[0].fill(step)
            return
        self._following_sets = sets = [
            (values[0] + 1, *(_plain(new[name]) for name in self._scalars))
            for values, new in zip(self.sets, coefficients, strict=True)
        ]
        for following, known, *column in zip(self._following, self._known, *sets, strict=True):
            following[:] = known
            which = self.which
            following[self._chosen] = column[0] if which is None else [column[k] for k in which]

    def write(self) -> None:
        """Count the update; a second time changes nothing."""
        for number, following in enumerate(self._following):
            self._memory[number][:] = following
            self._known[number][:] = following
        self.counted()

    def counted(self) -> None:
        """Take note that somebody else has written what follows."""
        self.sets = self._following_sets
        self._ahead[0] = 0

    @property
    def is_one_step(self) -> bool:
        """Whether all there is to count is one step, the same for all parameters."""
        return self.which is None and not self._scalars and not self._others


class SharedCounters(Counters):
    """Counters in memory that other processes see: the states keep their tensors.

    As in torch, a step that two processes count at the same moment may be counted once.
    """

    can_be_replayed = False

    def __init__(self, states: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
        for state in states:
            for name in names:
                if not isinstance(state[name], torch.Tensor):
                    state[name] = torch.tensor(float(state[name]), dtype=DTYPES.get(name, WIDE))
        super().__init__([dict(state) for state in states], names)
        self._shared = [[state[name] for state in states] for name in self.names]
        self.placed = []

    def read(self) -> None:
        for memory, tensors in zip(self._memory, self._shared, strict=True):
            memory[: self._count] = [float(tensor) for tensor in tensors]
        super().read()

    def write(self) -> None:
        super().write()
        for memory, tensors in zip(self._memory, self._shared, strict=True):
            for value, tensor in zip(memory[: self._count].tolist(), tensors, strict=True):
                tensor.fill_(value)


class StackedCounters(Counters):
    """Counters of K stacked models, of which some numbers are [K]: the states keep their tensors.

    They are read at each update: stacks are for populations, whose updates take longer.
    """

    can_be_replayed = False

    def __init__(self, states: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.views = {name: [state[name] for state in states] for name in self.names}
        self.placed = []
        self.sets = []
        self.which = None
        self._new: list[tuple[Any, ...]] = []

    def read(self) -> None:
        columns = [self.views[name] for name in self.names]
        sets, self.which = distinct(
            [[tuple(each.reshape(-1).tolist()) for each in column] for column in columns]
        )
        firsts = [0 if self.which is None else self.which.index(k) for k in range(len(sets))]
        self.sets = [
            (float(columns[0][first]), *(column[first].clone() for column in columns[1:]))
            for first in firsts
        ]

    def form(self, coefficients: Sequence[Mapping[str, Any]]) -> None:
        self._new = [
            (values[0] + 1, *(new[name] for name in self.names[1:]))
            for values, new in zip(self.sets, coefficients, strict=True)
        ]

    def write(self) -> None:
        for position, name in enumerate(self.names):
            for place, tensor in enumerate(self.views[name]):
                new = self._new[0 if self.which is None else self.which[place]][position]
                tensor.copy_(torch.as_tensor(new, dtype=tensor.dtype))
        self.counted()

    def counted(self) -> None:
        self.sets = self._new

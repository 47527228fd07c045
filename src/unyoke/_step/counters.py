"""Per-parameter numbers (``step``, …), kept so that a whole group is read and advanced at once.

torch's checkpoints hold a 0-d tensor for each parameter. Here these tensors are views of one flat
tensor for the group, which is cheap to compare with what was left there.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

DTYPES = {"step": torch.float32}
INITIAL = {"step": 0.0}


def initial(name: str) -> torch.Tensor:
    """The 0-d tensor of a parameter that was never updated."""
    return torch.tensor(INITIAL.get(name, 1.0), dtype=DTYPES.get(name, torch.float64))


class Counters:
    """The numbers of some parameters; ``states[i][name]`` become views into one flat tensor.

    Attributes:
        names: ``"step"`` and the rule's scalars.
        views: for each name, the tensors that the states hold.
        which: per parameter the index of its set of values; None while there is one set.
        placed: the views, with where they lie. If one is elsewhere (its storage was moved into
            shared memory, or it was given other data), make other counters before this is used.
    """

    def __init__(self, states: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.views: dict[str, list[torch.Tensor]] = {}
        self._sets: list[tuple[float, ...]] = []
        self.which: list[int] | None = None
        self._memory: list[np.ndarray[Any, Any]] = []
        self._known: list[bytes] = []
        self.placed: list[tuple[torch.Tensor, int]] = []
        for name in self.names:
            values = [float(state[name]) for state in states]
            flat = torch.tensor(values, dtype=DTYPES.get(name, torch.float64))
            self.views[name] = list(flat.unbind())
            self._memory.append(flat.numpy())
            self._known.append(b"")
            for state, view in zip(states, self.views[name], strict=True):
                state[name] = view
                self.placed.append((view, view.data_ptr()))
        # torch.utils.swap_tensors would make another tensor of a view; it refuses this
        self._not_swapped = [weakref.ref(view) for view, _ in self.placed]

    def read(self) -> list[tuple[float, ...]]:
        """The distinct sets, with ``which`` up to date if anybody has written, by whatever way."""
        for memory, known in zip(self._memory, self._known, strict=True):
            if memory.tobytes() != known:
                return self._recount()
        return self._sets

    def _recount(self) -> list[tuple[float, ...]]:
        rows = list(zip(*(memory.tolist() for memory in self._memory), strict=True))
        index = {row: number for number, row in enumerate(dict.fromkeys(rows))}
        self._sets = list(index)
        self.which = [index[row] for row in rows] if len(index) > 1 else None
        self._known = [memory.tobytes() for memory in self._memory]
        return self._sets

    def following(self, coefficients: Sequence[Mapping[str, Any]]) -> list[tuple[float, ...]]:
        """The sets after an update with these coefficients, of which scalars are a part."""
        scalars = self.names[1:]
        return [
            (values[0] + 1, *map(new.__getitem__, scalars))
            for values, new in zip(self._sets, coefficients, strict=True)
        ]

    def write(self, sets: list[tuple[float, ...]]) -> None:
        """Give each parameter the values of its set; a second time changes nothing."""
        for number, memory in enumerate(self._memory):
            if self.which is None:
                memory.fill(sets[0][number])
            else:
                memory[:] = [sets[which][number] for which in self.which]
            self._known[number] = memory.tobytes()
        self._sets = sets

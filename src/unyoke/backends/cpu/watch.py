"""The questions of :mod:`unyoke.backends.watch`, asked by compiled code.

Python's own C interface answers: what a list, or a dictionary, holds.
"""

from __future__ import annotations

import ctypes
import functools
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from unyoke.backends import watch
from unyoke.backends.cpu import machine, objects
from unyoke.backends.watch import Entry

# What the compiled function is told, by address: numbers and addresses in this order.
JOB = (
    *("different", "params", "items", "known", "has_gradient"),
    *("tensor", "gradient", "undefined", "get_item"),
    *("entries", "states", "names", "tensors", "get_entry"),
    *("mapping", "values", "known_values", "next_value", "position", "key", "value"),
)
DIFFERENT, PARAMS, MAPPING = JOB.index("different"), JOB.index("params"), JOB.index("mapping")

TEXT = f"""
@compiled
def run(job):
    ({", ".join(JOB)}) = ({", ".join(f"word_at(job, {k})" for k in range(len(JOB)))})
    put_word(job, 1)
    for k in range(items):
        weight = invoke2(get_item, params, k)
        if weight != word_at(known, k):
            return 0
        grad = word_at(invoke1(gradient, word_at(weight + tensor, 0)), 0)
        if (grad != undefined) != (word_at(has_gradient, k) != 0):
            return 0
    for k in range(entries):
        if invoke2(get_entry, word_at(states, k), word_at(names, k)) != word_at(tensors, k):
            return 0
    place = job + {8 * JOB.index("position")}
    put_word(place, 0)
    for k in range(values):
        invoke4(next_value, mapping, place, place + 8, place + 16)
        if word_at(place, 2) != word_at(known_values, k):
            return 0
    put_word(job, 0)
    return 0
"""


class Watch(watch.Watch):
    """As the one in Python, for a list of tensors."""

    def __init__(
        self,
        params: Sequence[torch.Tensor],
        weights: Sequence[torch.Tensor],
        entries: Sequence[Entry],
    ) -> None:
        super().__init__(params, weights, entries)
        places = objects.places()
        assert places is not None
        self._arrays = [
            *(_addresses(params), np.array(self._has_gradient, dtype=np.int64)),
            *(_addresses([getattr(entry, name) for entry in entries]) for name in Entry._fields),
        ]
        known, has_gradient, states, names, tensors = (each.ctypes.data for each in self._arrays)
        self._ask = Question(
            items=len(params),
            known=known,
            has_gradient=has_gradient,
            tensor=places.tensor,
            gradient=places.gradient,
            undefined=places.undefined,
            get_item=_c_function("PyList_GetItem"),
            entries=len(entries),
            states=states,
            names=names,
            tensors=tensors,
            get_entry=_c_function("PyDict_GetItem"),
        )

    def holds(self, params: Sequence[torch.Tensor]) -> bool:
        if type(params) is not list or len(params) != len(self._params):
            return super().holds(params)
        return self._ask(PARAMS, id(params))


class Values(watch.Values):
    """As the one in Python, for a dictionary."""

    def __init__(self, mapping: Mapping[Any, Any] | None = None) -> None:
        super().__init__(mapping)
        self._known = _addresses(self._values)
        self._ask = Question(
            values=len(self._values),
            known_values=self._known.ctypes.data,
            next_value=_c_function("PyDict_Next"),
        )

    def hold(self, mapping: Mapping[Any, Any]) -> bool:
        if not isinstance(mapping, dict) or len(mapping) != len(self._values):
            return super().hold(mapping)
        return self._ask(MAPPING, id(mapping))


class Question:
    """The compiled function with what it is told; calls say what it shall look at."""

    def __init__(self, **facts: int) -> None:
        self._job = array("q", [facts.get(name, 0) for name in JOB])
        self._run = functools.partial(compiled(), self._job.buffer_info()[0])

    def __call__(self, position: int, address: int) -> bool:
        self._job[position] = address
        self._run()
        return not self._job[DIFFERENT]


@functools.cache
def compiled() -> Any:
    """The compiled function."""

    def names() -> dict[str, Any]:
        from unyoke.backends.cpu import compiled

        return compiled.reading()

    return machine.build(TEXT, names, "", arguments=1, holds_gil=True)


@functools.cache
def unable() -> str | None:
    """Why nothing can be compiled here."""
    try:
        compiled()
    except Exception as error:  # a Numba that does not support this Python raises what it likes
        return f"Numba cannot compile here: {error}"
    return None


def _addresses(things: Sequence[Any]) -> Any:
    return np.array([id(thing) for thing in things], dtype=np.int64)


@functools.cache
def _c_function(name: str) -> int:
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0

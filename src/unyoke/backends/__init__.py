"""Backends: different ways to run the same formula, behind one narrow interface."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch

from unyoke.backends.base import Backend, Work
from unyoke.backends.compiled import Compiled
from unyoke.backends.cpu import Cpu
from unyoke.backends.division import Division, Share
from unyoke.backends.eager import Eager
from unyoke.backends.gpu import Gpu
from unyoke.backends.watch import Entry, Values, Watch

ALL: Mapping[str, Backend] = MappingProxyType(
    {part.name: part for part in (Gpu(), Cpu(), Eager(), Compiled())}
)
"""Every backend by its name."""

AUTO: Sequence[Backend] = (ALL["gpu"], ALL["cpu"], ALL["eager"])
"""The backends among which ``"auto"`` chooses, in the order in which it asks them."""


def check_name(name: str) -> None:
    """Raise ValueError unless ``name`` is a backend or ``"auto"``."""
    if name != "auto" and name not in ALL:
        raise ValueError(f"unknown backend {name!r}: there are auto, {', '.join(ALL)}")


def table() -> list[tuple[str, str | None]]:
    """Every backend with what it lacks on this machine; None where it lacks nothing."""
    return [(name, backend.missing()) for name, backend in ALL.items()]


def shares(name: str, work: Work) -> Sequence[Share]:
    """Who does the work: the backend of that name, or under ``"auto"`` the first that can.

    Raises:
        RuntimeError: the backend cannot do this work; the message is its ``why_not``.
    """
    candidates = _present() if name == "auto" else _only(name)
    division: Division | None = work.cache.get("division")
    if division is None or not division.holds(candidates, work):
        division = work.cache["division"] = Division(candidates, work)
    return division.shares


def watch_group(
    params: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], entries: Sequence[Entry]
) -> Watch:
    """What watches a parameter group, its gradients and the entries of its state."""
    return _watches()[0](params, weights, entries)


def watch_values(mapping: Mapping[Any, Any]) -> Values:
    """What watches the values of a mapping."""
    return _watches()[1](mapping)


@functools.cache
def _watches() -> tuple[type[Watch], type[Values]]:
    """Compiled ones where that can be."""
    if ALL["cpu"].missing() is not None:
        return Watch, Values
    from unyoke.backends.cpu import objects, watch

    if objects.places() is None or watch.unable() is not None:
        return Watch, Values
    return watch.Watch, watch.Values


@functools.cache
def _present() -> Sequence[Backend]:
    """Those of AUTO that this machine has what they need for."""
    return tuple(backend for backend in AUTO if backend.missing() is None)


@functools.cache
def _only(name: str) -> Sequence[Backend]:
    return (ALL[name],)


__all__ = [
    "ALL",
    "AUTO",
    "Backend",
    "Share",
    "Work",
    "check_name",
    "shares",
    "table",
    "watch_group",
    "watch_values",
]

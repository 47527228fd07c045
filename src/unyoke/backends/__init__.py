"""Backends: different ways to run the same formula, behind one narrow interface."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from unyoke.backends.base import Backend, Captured, Formation, Work
from unyoke.backends.compiled import Compiled
from unyoke.backends.cpu import Cpu
from unyoke.backends.dispatch import Assignment, Dispatch
from unyoke.backends.eager import Eager
from unyoke.backends.gpu import Gpu
from unyoke.backends.guards import Guards

if TYPE_CHECKING:
    from unyoke.backends._native.replay_call import ReplayCall as ReplayCall

CPU, GPU = Cpu(), Gpu()

ALL: Mapping[str, Backend] = MappingProxyType(
    {part.name: part for part in (GPU, CPU, Eager(), Compiled())}
)
"""Every backend by its name."""

AUTO: Sequence[Backend] = (GPU, CPU, ALL["eager"])
"""The backends among which ``"auto"`` chooses, in the order in which it asks them."""

_ALONE: Mapping[str, Sequence[Backend]] = {name: (backend,) for name, backend in ALL.items()}


def check_name(name: str) -> None:
    """Raise ValueError unless ``name`` is a backend or ``"auto"``."""
    if name != "auto" and name not in ALL:
        raise ValueError(f"unknown backend {name!r}: there are auto, {', '.join(ALL)}")


def table() -> list[tuple[str, str | None]]:
    """Every backend with what it lacks on this machine; None where it lacks nothing."""
    return [(name, backend.missing()) for name, backend in ALL.items()]


def tried() -> Iterator[tuple[str, str | None, str | None]]:
    """Every backend by its name, with what it lacks and with a remark, found out by an update."""
    from unyoke.backends import trial

    for name, backend in ALL.items():
        reason = trial.lacking(backend)
        yield name, reason, backend.remark() if reason is None else None


def dispatch(name: str, work: Work, known: Dispatch | None) -> Dispatch:
    """Who does the work: the backend of that name, or under ``"auto"`` the first that can.

    Args:
        name: of the backend, or ``"auto"``.
        work: what is to be done.
        known: the last dispatch of it.

    Raises:
        RuntimeError: the backend cannot do this work; the message is its ``why_not``.
    """
    candidates = _present() if name == "auto" else _ALONE[name]
    if known is not None and known.holds(candidates, work):
        return known
    found = Dispatch(candidates, work)
    if name == "auto":
        for backend, part in found.assignments:
            if backend.name == "eager" and (reason := CPU.cannot_compile(part)) is not None:
                _warn_of_eager(reason)
    return found


@functools.cache
def _warn_of_eager(reason: str) -> None:
    """Say it once in a process."""
    warnings.warn(
        f"The cpu backend cannot work on this machine, and the eager one, which is several times "
        f"slower, takes its place: {reason}. `unyoke backends` shows what each backend lacks; "
        f'backend="eager" is without this warning.',
        UserWarning,
        stacklevel=2,
    )


def replay_call(
    guards: Guards,
    captured: Sequence[Captured],
    counters: Sequence[tuple[int, int, int, int, int]],
    formations: Sequence[Formation] = (),
    groups: Sequence[dict[str, Any]] = (),
) -> ReplayCall | None:
    """What looks at guards, those of captured updates included, runs their kernels and counts.

    None where compiled code cannot look. The arguments are those of
    :class:`unyoke.backends._native.replay_call.ReplayCall`.
    """
    if CPU.missing() is not None:
        return None
    from unyoke.backends._native import replay_call

    if not replay_call.can_ask(guards):
        return None
    checks = [each for one in captured for each in one.checks or ()]
    kernels = [each for one in captured for each in one.kernels]
    return replay_call.ReplayCall(guards, checks, counters, kernels, formations, groups)


@functools.cache
def _present() -> Sequence[Backend]:
    """Those of AUTO that this machine has what they need for."""
    return tuple(backend for backend in AUTO if backend.missing() is None)


__all__ = [
    "ALL",
    "AUTO",
    "Assignment",
    "Backend",
    "Captured",
    "Dispatch",
    "Formation",
    "Work",
    "check_name",
    "dispatch",
    "replay_call",
    "table",
]

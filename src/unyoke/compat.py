"""Old names of modules and in them, kept for one release; each warns and names the new one.

The changelog lists them. What moves next is added to ``MOVED`` or ``NAMES``; what a release has
warned of is taken out in the next.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from unyoke._support.callers import warn

_ROOMS = {
    "tasks": "task built_in data digits fashion cifar shakespeare tabular shipped devices "
    "shake_shake small_resnet character_models",
    "landscape": "axes optimizers outcome batches",
    "ledger": "merge code_digest",
    "training": "evaluation stacks",
    "running": "driver executors workers preloaded progress refine",
    "planning": "defaults request commands",
    "report": "page findings comparisons curves survey tables export",
}

MOVED = {
    **{
        f"unyoke.{name}": f"unyoke._support.{name}"
        for name in ("decisions", "discovery", "layers", "wrappers")
    },
    "unyoke.update": "unyoke.equation",
    "unyoke.formats": "unyoke.storage.formats",
    "unyoke.counterparts": "unyoke.interchange.counterparts",
    "unyoke.convert": "unyoke.interchange.convert",
    "unyoke.decoupling": "unyoke.interchange.decoupling",
    **dict.fromkeys(
        (f"unyoke.optimizers.{old}" for old in ("descent", "moments", "norms", "signs", "squares")),
        "unyoke.optimizers",
    ),
    "unyoke.study.ledger_file": "unyoke.study.ledger.file",
    **{
        f"unyoke.study.{name}": f"unyoke.study.{room}.{name}"
        for room, names in _ROOMS.items()
        for name in names.split()
    },
}
"""Modules by their old names."""

NAMES = {
    "unyoke.decays.timescale": "unyoke.timescales.timescale",
    "unyoke.directions.moments.nadamw": "unyoke.directions.moments.nesterov_adam",
    "unyoke.directions.norms.muon": "unyoke.directions.matrices.muon",
    "unyoke.optimizers.moments.AdamLike": "unyoke.optimizers.adam.AdamLike",
    "unyoke.optimizers.norms.MuonLike": "unyoke.optimizers.muon.MuonLike",
    "unyoke.optimizers.signs.LionLike": "unyoke.optimizers.lion.LionLike",
    "unyoke.optimizers.squares.AdadeltaLike": "unyoke.optimizers.adadelta.AdadeltaLike",
    "unyoke.optimizers.squares.AdagradLike": "unyoke.optimizers.adagrad.AdagradLike",
    "unyoke.optimizers.squares.RMSpropLike": "unyoke.optimizers.rmsprop.RMSpropLike",
}
"""What moved alone, by its old name; those of a module that moved too stand here as well."""


def renamed(module: str) -> Callable[[str], Any]:
    """``__getattr__`` of a module some of whose names are old ones, in :data:`NAMES`."""

    def find(name: str) -> Any:
        new = NAMES.get(f"{module}.{name}")
        if new is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        _warn(f"{module}.{name}", new)
        home, _, there = new.rpartition(".")
        return getattr(importlib.import_module(home), there)

    return find


def moved_into(package: str, *modules: str) -> Callable[[str], Any]:
    """``__getattr__`` of a package that has the name which its module had.

    Args:
        package: its name.
        modules: where the names are now.
    """

    def find(name: str) -> Any:
        import importlib.util  # slow, and old names are rare

        is_own = name.startswith("_") or importlib.util.find_spec(f"{package}.{name}") is not None
        for module in () if is_own else modules:  # of a package's own, Python asks here first
            found = getattr(importlib.import_module(module), name, None)
            if found is not None and not isinstance(found, ModuleType):
                _warn(f"{package}.{name}", f"{module}.{name}")
                return found
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find


class _Finder(MetaPathFinder, Loader):
    """Makes a module of an old name, whose contents are the new one's."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return ModuleType(spec.name, f"The old name of {MOVED[spec.name]}.")

    def exec_module(self, module: ModuleType) -> None:
        new = MOVED[module.__name__]
        _warn(module.__name__, new)
        old = renamed(module.__name__)

        def find(name: str) -> Any:
            if f"{module.__name__}.{name}" in NAMES:
                return old(name)
            return getattr(importlib.import_module(new), name)

        module.__dict__["__getattr__"] = find


def _warn(old: str, new: str) -> None:
    text = f"{old} has moved: use {new}. The old name goes with the next release."
    warn(text, DeprecationWarning)


def install() -> None:
    """Let the old names be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())

"""Registries that are read off the modules of a folder: what is written there is known by name.

A new direction or optimizer stands in one file and is listed nowhere. The files are imported when
somebody asks for the first name that is not there yet.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def one_of(kind: str, known: Mapping[str, T], name: str) -> T:
    """The thing of a name.

    Raises:
        ValueError: there is none; the message lists near names.
    """
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise ValueError(f"unknown {kind} {name!r}: {hint}there are {', '.join(known)}")
    return known[name]


class Registry(Mapping[str, T], Generic[T]):
    """The things of one kind that the modules of some packages define, by name.

    Args:
        packages: by name; all their modules are read, those named in ``first`` before the others.
        is_one: whether a value that a module defines is of this kind.
        first: names of modules.
    """

    def __init__(
        self,
        packages: tuple[str, ...],
        is_one: Callable[[Any], bool],
        first: tuple[str, ...] = (),
    ) -> None:
        self._packages, self._is_one, self._first = packages, is_one, first
        self._read: dict[str, Mapping[str, T]] = {}

    def _of(self, package: str) -> Mapping[str, T]:
        """What a package defines, by name, in the order of its files and in them."""
        if package not in self._read:
            self._read[package] = {
                name: value
                for module in self._modules(package)
                for name, value in vars(module).items()
                if self._is_one(value) and value.__module__ == module.__name__
            }
        return self._read[package]

    def _modules(self, package: str) -> list[ModuleType]:
        path = importlib.import_module(package).__path__
        names = sorted(module.name for module in pkgutil.iter_modules(path))
        ordered = dict.fromkeys([*(name for name in self._first if name in names), *names])
        return [importlib.import_module(f"{package}.{name}") for name in ordered]

    def __getitem__(self, name: str) -> T:
        # One package after the other: a class in the second names what stands in the first
        for package in self._packages:
            if name in self._of(package):
                return self._of(package)[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for package in self._packages for name in self._of(package))

    def __len__(self) -> int:
        return sum(len(self._of(package)) for package in self._packages)

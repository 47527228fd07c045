"""Which code decides a number: a file and all that it imports of its own, by one digest.

Installed packages are not looked at, but for unyoke itself. Every result names the versions of
unyoke, torch and Python that it was computed with.
"""

from __future__ import annotations

import ast
import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

from unyoke.study.errors import StudyError

_PACKAGE = Path(__file__).resolve().parents[2]
_LENGTH = 16

Listing: TypeAlias = Callable[[Path], frozenset[str]]


@dataclass(frozen=True)
class Code:
    """A file with what it imports of its own.

    Attributes:
        own: the names of modules that it imports, itself or by others, and that are not unyoke's.
        digest: of all names and texts. It stays as it is where all of them move together.
    """

    own: tuple[str, ...]
    digest: str


def of_package(*modules: str) -> str:
    """The digest of these modules of unyoke, and of all of unyoke that they import."""
    listing = cache(_listing)
    start = {name: file for each in modules for name, file in _find(each, (), listing)}
    if not start:
        raise StudyError(f"the code of unyoke is not to be read in {_PACKAGE}: install it unpacked")
    return _with_imports(start, (), listing).digest


@cache
def of_training() -> str:
    """The digest of all of unyoke that trains a cell: optimizers, backends, population, study."""
    return of_package("unyoke.study.training.training")


def of_file(file: Path) -> Code:
    """A user's file with all that import statements in it, and in what they name, bring in.

    They are looked for beside the file and in PYTHONPATH, and nothing is run.

    Raises:
        StudyError: the file, or one of these, cannot be read.
    """
    file = file.resolve()
    try:
        return _with_imports({"": file}, _roots(file), cache(_listing))
    except OSError as error:
        raise StudyError(
            f"{error.filename} cannot be read ({error.strerror}); the file of a task and what it "
            "imports must be at the same place on every machine that trains"
        ) from error


def _roots(file: Path) -> tuple[Path, ...]:
    """Where a file's own modules may be: not where packages were installed."""
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    folders = [Path(entry).resolve() for entry in entries if entry]
    own = [folder for folder in folders if not any(folder.glob("*.dist-info"))]
    return (file.parent, *own)


class _Source(NamedTuple):
    """A module's text, and the names of what it imports."""

    text: bytes
    imports: tuple[str, ...]


def _with_imports(start: Mapping[str, Path], roots: Sequence[Path], listing: Listing) -> Code:
    texts: dict[str, bytes] = {}
    waiting = list(start.items())
    while waiting:
        name, file = waiting.pop()
        if name in texts:
            continue
        source = _read_once(name, file) if _PACKAGE in file.parents else _read(name, file)
        texts[name] = source.text
        for imported in source.imports:
            waiting += _find(imported, roots, listing)
    whole = hashlib.sha256()
    for name, text in sorted(texts.items()):
        whole.update(f"{name}\0{len(text)}\0".encode() + text)
    own = tuple(name for name in texts if name and name.partition(".")[0] != _PACKAGE.name)
    return Code(own, whole.hexdigest()[:_LENGTH])


def _read(name: str, file: Path) -> _Source:
    text = file.read_bytes().replace(b"\r\n", b"\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whoever runs it will be warned
            tree = ast.parse(text, str(file))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # and told
        return _Source(text, ())
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    return _Source(text, tuple(dict.fromkeys(_imports(tree, package))))


_read_once = cache(_read)


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """The modules that are imported anywhere in a text, and what may be one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".") if node.level else []
            base = parts[: len(parts) + 1 - node.level] if node.level else parts
            if node.module:
                base = [*base, node.module]
            yield from (".".join([*base, alias.name]) for alias in node.names)


def _find(name: str, roots: Sequence[Path], listing: Listing) -> list[tuple[str, Path]]:
    """Of a.b.c the files of a, of a.b and of a.b.c, as far as there are any.

    A file counts if its folder lists it, as for Python, which tells apart a file from another one
    that differs in case even where the disk does not.
    """
    parts = name.split(".")
    for root in (_PACKAGE.parent,) if parts[0] == _PACKAGE.name else roots:
        found = []
        folder = root
        for count, part in enumerate(parts, 1):
            place = None
            if part in listing(folder) and "__init__.py" in listing(folder / part):
                place = folder / part / "__init__.py"
            elif f"{part}.py" in listing(folder):
                place = folder / f"{part}.py"
            if place is not None:
                found.append((".".join(parts[:count]), place))
            folder /= part
        if found:
            return found
    return []


def _listing(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:  # as for Python, what cannot be listed is not there
        return frozenset()

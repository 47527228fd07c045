"""Which source code decides a number: files and all that they import of their own, by one digest.

What installed packages hold is not looked at: they have versions, which every result carries. Of
unyoke itself it is, wherever that is installed.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

_PACKAGE = Path(__file__).resolve().parents[1]
_LENGTH = 16


class _Source(NamedTuple):
    """A file's text, and what it imports: module names, relative ones with their folder."""

    text: bytes
    imported: tuple[tuple[str, Path | None], ...]


def of_package(*modules: str) -> str:
    """The digest of these modules of unyoke, and of all of unyoke that they import."""
    return _digest(file for name in modules for file in _modules(name))


@cache
def of_training() -> str:
    """The digest of all of unyoke that trains a cell: optimizers, backends, population, study."""
    return of_package("unyoke.study.training")


def of_file(file: Path) -> str:
    """The digest of a user's file, and of all that it imports but installed packages.

    What moves together keeps its digest. Nothing is run: modules are found as Python finds them,
    first beside the file, so what is imported under a computed name is missed.
    """
    return _digest([file.resolve()], tuple(_folders(file)))


def _folders(file: Path) -> Iterator[Path]:
    """The file's folder and those of Python's path, but where packages are installed."""
    installed = {Path(path).resolve() for path in sysconfig.get_paths().values()}
    for folder in (file.resolve().parent, *(Path(entry).resolve() for entry in sys.path)):
        others = {"site-packages", "dist-packages"} & set(folder.parts)
        if not others and not installed & {folder, *folder.parents}:
            yield folder


def _digest(files: Iterable[Path], roots: Sequence[Path] = ()) -> str:
    """Of the files' text and that of all that they import from below `roots` or of unyoke."""
    texts: dict[Path, bytes] = {}
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file in texts:
            continue
        source = _read_once(file) if _PACKAGE in file.parents else _read(file)
        texts[file] = source.text
        for name, folder in source.imported:
            waiting += _modules(name, roots if folder is None else (folder,))
    whole = hashlib.sha256()
    for name, text in sorted((file.name, text) for file, text in texts.items()):
        whole.update(f"{name}\0{len(text)}\0".encode() + text)
    return whole.hexdigest()[:_LENGTH]


def _read(file: Path) -> _Source:
    text = file.read_bytes()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # who runs it will be told
        return _Source(text, ())
    return _Source(text, tuple(dict.fromkeys(_imported(tree, file))))


_read_once = cache(_read)


def _imported(tree: ast.AST, file: Path) -> Iterator[tuple[str, Path | None]]:
    """The modules that are imported anywhere in a file, and what may be one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None
        elif isinstance(node, ast.ImportFrom):
            folder = file.parents[node.level - 1] if node.level else None
            for alias in node.names:
                yield f"{node.module}.{alias.name}" if node.module else alias.name, folder


def _modules(name: str, roots: Sequence[Path] = ()) -> list[Path]:
    """The files of a.b.c: those of a, of a.b and of a.b.c, as far as there are any."""
    parts = name.split(".")
    for root in (_PACKAGE.parent,) if parts[0] == _PACKAGE.name else roots:
        stems = [root.joinpath(*parts[:count]) for count in range(1, len(parts) + 1)]
        places = [
            place
            for stem in stems
            for place in (stem / "__init__.py", stem.with_name(f"{stem.name}.py"))
        ]
        if found := [place for place in places if place.is_file()]:
            return found
    return []

"""Which code decides a number: a file and all that it imports of its own, by one digest.

What counts is syntax. Comments, docstrings, blank lines, line endings and everything under
`if TYPE_CHECKING:` may change. Imports count wherever they stand, also inside functions, since
that is how kernels are imported when they are needed; so do all files of a folder that a `Registry`
reads, such as the directions. Of unyoke itself, `NO_NUMBERS` names what is
never called while a cell is trained; that is left out with all that only it imports.

Installed packages are not looked at, but for unyoke itself. Every result names the versions of
unyoke, torch and Python that it was computed with.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from unyoke.study.errors import StudyError

_PACKAGE = Path(__file__).resolve().parents[2]
_LENGTH = 16
EVERY = "*"
"""In the place of a module's name: all modules of its package."""

NO_NUMBERS = frozenset(
    {
        "unyoke",  # the list of public names
        "unyoke.checkpoint",
        "unyoke.compat",
        "unyoke.explain",
        "unyoke.interchange",
        "unyoke.population.checkpoints",
        "unyoke.study",
        "unyoke.study.errors",
        "unyoke.study.landscape.axes",
    }
)
"""Modules of unyoke that form no number of a map; a test watches a training that calls none."""


@dataclass(frozen=True)
class Code:
    """A file with what it imports of its own.

    Attributes:
        files: the digest of each, by the name of its module; a user's own file has the name "".
    """

    files: Mapping[str, str]

    @property
    def own(self) -> tuple[str, ...]:
        """The names of modules that are imported, directly or by others, and are not unyoke's."""
        return tuple(
            name for name in self.files if name and name.partition(".")[0] != _PACKAGE.name
        )

    @property
    def digest(self) -> str:
        """Of all names and files. It stays as it is where all of them move together."""
        return _short(json.dumps(sorted(self.files.items())).encode())


def of_package(*modules: str) -> Code:
    """These modules of unyoke, and all of unyoke that they import."""
    finder = _Finder()
    start = {name: file for each in modules for name, file in finder.find(each)}
    if not start:
        raise StudyError(f"the code of unyoke is not to be read in {_PACKAGE}: install it unpacked")
    return _with_imports(start, finder)


@cache
def of_training() -> Code:
    """All of unyoke that trains a cell: optimizers, backends, population, study."""
    return of_package("unyoke.study.training.training", "unyoke.study.tasks.reading")


def of_file(file: Path) -> Code:
    """A user's file with all that import statements in it, and in what they name, bring in.

    They are looked for beside the file and in PYTHONPATH, and nothing is run.

    Raises:
        StudyError: the file, or one of these, cannot be read.
    """
    file = file.resolve()
    try:
        return _with_imports({"": str(file)}, _Finder(_roots(file)))
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
    """A module's digest, and the names of what it imports."""

    digest: str
    imports: tuple[str, ...]


def _with_imports(start: Mapping[str, str], finder: _Finder) -> Code:
    found: dict[str, str] = {}
    waiting = list(start.items())
    known = _Known()
    sought: set[str] = set()
    while waiting:
        name, file = waiting.pop()
        if name in found or name in NO_NUMBERS:
            continue
        source = known.source(name, file)
        found[name] = source.digest
        for imported in set(source.imports) - sought:
            waiting += finder.find(imported)
        sought.update(source.imports)
    known.save()
    return Code(found)


class _Known:
    """Sources that were read before, in this process or another one, by the state of their files.

    Parsing all that trains takes half a second. A file counts as the same while its size and its
    times of change stay; without a folder for caches every process parses for itself.
    """

    MOST = 5_000
    """Files that are remembered; with more of them, it begins anew."""

    def __init__(self) -> None:
        self._path = _cache_folder() / "code.json"
        self._sources = _remembered(self._path)
        self._is_new = False

    def source(self, name: str, file: str) -> _Source:
        state = os.stat(file)  # before it is read: a change in between is seen next time
        key = f"{name}:{file}"
        stamp = [state.st_size, state.st_mtime_ns, state.st_ctime_ns]
        kept = self._sources.get(key)
        if kept is not None and kept[0] == stamp:
            return _Source(kept[1], tuple(kept[2]))
        source = _read(name, file)
        # Within a tick of the clock a file can change without a trace in its times.
        if time.time() - state.st_mtime > _TICK:
            self._sources[key] = [stamp, *source]
            self._is_new = True
        return source

    def save(self) -> None:
        """Whole or not at all, whichever processes write at once."""
        if not self._is_new:
            return
        if len(self._sources) > self.MOST:
            self._sources.clear()
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, draft = tempfile.mkstemp(dir=self._path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"form": _FORM, "sources": self._sources}, file)
            os.replace(draft, self._path)


_FORM = 2
"""Raised where a digest is formed otherwise, so that what is remembered is not used."""

_TICK = 2.0
"""Seconds after which another change of a file has another time, also on FAT."""

_memory: dict[Path, dict[str, list[Any]]] = {}


def _remembered(path: Path) -> dict[str, list[Any]]:
    """What the file of the cache holds, read once in a process; a damaged one holds nothing."""
    if path not in _memory:
        _memory[path] = {}
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["form"] == _FORM:
                _memory[path] = kept["sources"]
    return _memory[path]


def _cache_folder() -> Path:
    """`UNYOKE_CACHE_DIR`, or the platform's folder for caches."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("UNYOKE_CACHE_DIR") or user_cache_dir("unyoke", appauthor=False))


def _read(name: str, file: str) -> _Source:
    text = Path(file).read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whoever runs it will be warned
            tree = ast.parse(text, file)
        package = name if os.path.basename(file) == "__init__.py" else name.rpartition(".")[0]
        imports = tuple(dict.fromkeys(_imports(tree, package)))
        return _Source(_short(repr(_syntax(tree)).encode()), imports)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # and told
        return _Source(_short(text.replace(b"\r\n", b"\n")), ())


def _short(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:_LENGTH]


def _syntax(node: Any) -> Any:
    """A tree as nested tuples: what it says, without what it says to readers.

    A string that stands alone is a docstring or as idle as one. What is empty is left out, so that
    fields that a newer Python adds change nothing.
    """
    if isinstance(node, list):
        return tuple(_syntax(each) for each in node if not _is_idle(each))
    if not isinstance(node, ast.AST):
        return node
    if isinstance(node, ast.If) and _for_types(node):
        return ("If", "TYPE_CHECKING", _syntax(node.orelse))
    return (
        type(node).__name__,
        *(
            (field, _syntax(value))
            for field, value in ast.iter_fields(node)
            if value is not None and value != [] and field != "kind"
        ),
    )


def _is_idle(node: Any) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _for_types(node: ast.If) -> bool:
    """Whether it is `if TYPE_CHECKING:`, which nothing that runs enters."""
    test = node.test
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def _imports(node: ast.AST, package: str) -> Iterator[str]:
    """The modules that are imported anywhere in a text, and what may be one."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parts = package.split(".") if node.level else []
        base = parts[: len(parts) + 1 - node.level] if node.level else parts
        if node.module:
            base = [*base, node.module]
        yield from (".".join([*base, alias.name]) for alias in node.names)
    elif isinstance(node, ast.If) and _for_types(node):
        for each in node.orelse:
            yield from _imports(each, package)
    else:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield from _registered(node, node.func.id)
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, package)


def _registered(call: ast.Call, function: str) -> Iterator[str]:
    """All modules of the packages that a `Registry` of unyoke's reads without naming them."""
    if function == "Registry":
        for each in ast.walk(call):
            value = each.value if isinstance(each, ast.Constant) else None
            if isinstance(value, str) and value.startswith(f"{_PACKAGE.name}."):
                yield f"{value}.{EVERY}"


class _Finder:
    """Files of modules: those of unyoke in its package, others in `roots`."""

    def __init__(self, roots: Sequence[Path] = ()) -> None:
        self._package = [str(_PACKAGE.parent)]
        self._roots = [str(root) for root in roots]
        self._listings: dict[str, frozenset[str]] = {}

    def find(self, name: str) -> list[tuple[str, str]]:
        """Of a.b.c the files of a, of a.b and of a.b.c, as far as there are any.

        A file counts if its folder lists it, as for Python, which tells apart a file from another
        one that differs in case even where the disk does not.
        """
        parts = name.split(".")
        if parts[-1] == EVERY:
            return self._modules_in(".".join(parts[:-1]))
        for folder in self._package if parts[0] == _PACKAGE.name else self._roots:
            found = []
            for count, part in enumerate(parts, 1):
                here, folder = folder, os.path.join(folder, part)
                if part in self._listed(here) and "__init__.py" in self._listed(folder):
                    found.append((".".join(parts[:count]), os.path.join(folder, "__init__.py")))
                elif f"{part}.py" in self._listed(here):
                    found.append((".".join(parts[:count]), f"{folder}.py"))
            if found:
                return found
        return []

    def _modules_in(self, package: str) -> list[tuple[str, str]]:
        """Every module that lies in a package of unyoke, with the packages that hold them."""
        names = self._listed(os.path.join(self._package[0], *package.split(".")))
        return [
            found
            for name in sorted({name.removesuffix(".py") for name in names})
            if name.isidentifier() and name != "__init__"
            for found in self.find(f"{package}.{name}")
        ]

    def _listed(self, folder: str) -> frozenset[str]:
        if folder not in self._listings:
            try:
                self._listings[folder] = frozenset(os.listdir(folder))
            except OSError:  # as for Python, what cannot be listed is not there
                self._listings[folder] = frozenset()
        return self._listings[folder]

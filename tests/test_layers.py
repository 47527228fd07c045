"""The house of the package: arrows point down only, and heavy things wait until they are used.

Reads every import of every file under src/unyoke, those inside functions and those for types only
included. Each module stands on a rung of `RUNGS`; a new one that stands nowhere fails.
"""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import unyoke

ROOT = Path(__file__).parents[1] / "src" / "unyoke"
FACADE = "the package itself"  # src/unyoke/__init__.py
RUNGS: tuple[frozenset[str], ...] = (
    frozenset({"_support", "primitives", "ranges"}),
    frozenset({"compat"}),
    frozenset({"scheduler"}),
    frozenset({"stages"}),
    frozenset({"slots"}),
    frozenset({"equation", "masks"}),
    frozenset({"directions", "schedules"}),
    frozenset({"decays", "timescales"}),  # normalized decay follows the length of a run
    frozenset({"storage", "transfer"}),
    frozenset(
        {
            "backends.base",
            "backends.guards",
            "backends.interrupts",
            "backends.shards",
            "backends.symbols",
        }
    ),
    frozenset({"backends._native", "backends.element", "backends.sparse", "backends.staged"}),
    frozenset({"backends.layout"}),
    frozenset({"backends.cpu", "backends.gpu", "backends.eager"}),
    frozenset({"backends.compiled"}),
    frozenset({"backends"}),
    frozenset({"_step", "interchange.counterparts"}),
    frozenset({"checkpoint", "explain"}),
    frozenset({"optimizer"}),
    frozenset({"explain_file", "groups", "interchange", "optimizers", "releasing"}),
    frozenset({"monitoring", "population"}),
    frozenset({FACADE}),
    frozenset({"bench", "integrations", "study"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)
"""From the bottom up. A module belongs to the longest name here that it begins with. Those of one
name may import each other, in no circle; those of two names on one rung do not."""

USERS = {"bench", "study", "cli", "__main__"}
"""Who use the rest as anybody would: by public names."""

HEAVY = {"matplotlib", "triton", "numba", "llvmlite", "sklearn", "scipy", "click", "argparse"}
# Modules that are themselves imported only when they are used.
MAY_IMPORT = {
    "cli": {"click"},
    "transfer.command": {"click"},
    "backends.cpu": {"numba", "llvmlite"},
    "backends._native": {"numba", "llvmlite"},
    "backends.gpu": {"triton"},
}


@dataclass(frozen=True)
class Import:
    """One imported name: where it stands, and what it is."""

    importer: str  # dotted path below unyoke; "" is the package itself
    target: str  # dotted path of the imported module, from the top: "unyoke.equation", "torch"
    name: str  # the name taken from it; "" where the module itself is imported
    at_module_level: bool
    line: int

    def __str__(self) -> str:
        name = f".{self.name}" if self.name else ""
        return f"unyoke.{self.importer} line {self.line} imports {self.target}{name}"


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def module_path(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {module_path(file): file for file in sorted(ROOT.rglob("*.py"))}


def import_nodes(
    node: ast.AST, at_module_level: bool = True
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, at_module_level
        else:
            later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
                isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            )
            yield from import_nodes(child, at_module_level and not later)


def absolute(module: str, file: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = ["unyoke", *module.split(".")] if module else ["unyoke"]
    up = node.level - (file.name == "__init__.py")
    return ".".join([*package[: len(package) - up], *([node.module] if node.module else [])])


@cache
def imports() -> tuple[Import, ...]:
    found: list[Import] = []
    for module, file in modules().items():
        for node, at_module_level in import_nodes(tree(module)):
            if isinstance(node, ast.Import):
                found += [
                    Import(module, each.name, "", at_module_level, node.lineno)
                    for each in node.names
                ]
                continue
            source = absolute(module, file, node)
            for alias in node.names:
                full = f"{source}.{alias.name}"
                is_module = full.removeprefix("unyoke.") in modules() and source != full
                target, name = (full, "") if is_module else (source, alias.name)
                found.append(Import(module, target, name, at_module_level, node.lineno))
    return tuple(found)


def internal() -> list[Import]:
    """Imports of unyoke's own."""
    return [i for i in imports() if i.target.split(".")[0] == "unyoke"]


def below_unyoke(target: str) -> str:
    return target.removeprefix("unyoke").removeprefix(".")


RUNG = {name: level for level, names in enumerate(RUNGS) for name in names}


def place(module: str) -> str | None:
    """The name of `RUNGS` that a module belongs to."""
    names = [n for n in RUNG if f"{module}.".startswith(f"{n}.")]
    return max(names, key=len, default=None) if module else FACADE


def room(module: str) -> str:
    """Its place, and within the study the folder."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "study" else str(place(module))


def listing(faults: list[Import]) -> str:
    return "\n".join(map(str, faults))


def fail_on_circles(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(f"they import each other: {' → '.join(circle.args[1])}")


def test_something_is_read() -> None:
    assert {"", "equation", "directions", "decays", "schedules", "optimizer"} <= set(modules())
    assert len(internal()) > 10
    assert any(i.target == "torch" for i in imports())


def test_every_module_stands_somewhere() -> None:
    assert not [module for module in modules() if place(module) is None]
    assert set(RUNG) <= set(map(place, modules()))


def test_arrows_point_down() -> None:
    faults = [
        arrow
        for arrow in internal()
        if (upper := place(arrow.importer)) != (lower := place(below_unyoke(arrow.target)))
        and RUNG[str(lower)] >= RUNG[str(upper)]
    ]
    assert not faults, listing(faults)


@pytest.mark.parametrize("part", [lambda module: module, room], ids=["modules", "rooms"])
def test_no_circles(part: Callable[[str], str]) -> None:
    graph: dict[str, set[str]] = {}
    for arrow in internal():
        source, target = part(arrow.importer), part(below_unyoke(arrow.target))
        if source != target:
            graph.setdefault(source, set()).add(target)
    fail_on_circles(graph)


def test_study_benchmark_and_command_line_use_public_names_only() -> None:
    outside = [i for i in internal() if place(i.importer) in USERS]
    outside = [i for i in outside if place(below_unyoke(i.target)) != place(i.importer)]
    faults = [i for i in outside if not is_public(i)]
    assert not faults, listing(faults)


def test_no_module_takes_private_names_of_another() -> None:
    """Neither by import nor from an object whose class is another module's."""
    imported = [str(i) for i in internal() if i.name.startswith("_") and i.name != "__version__"]
    own = {module: set(private_names(module)) for module in modules()}
    read = [
        f"unyoke.{module} line {node.lineno} reads {ast.unparse(node)}"
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute)
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
        and node.attr not in own[module]
        and any(node.attr in names for names in own.values())
    ]
    assert not imported + read, "\n".join(imported + read)


def private_names(module: str) -> Iterator[str]:
    """What a module defines with an underscore: functions, and attributes of its own objects."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef):
            name = node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            name = node.attr
        else:
            continue
        if name.startswith("_") and not name.startswith("__"):
            yield name


def is_public(taken: Import) -> bool:
    if taken.target == "unyoke" and taken.name:
        return taken.name in (*unyoke.__all__, "__version__")
    return not any(part.startswith("_") for part in [*taken.target.split("."), taken.name])


def test_heavy_imports_wait_until_they_are_used() -> None:
    def allowed(arrow: Import, package: str) -> bool:
        return any(
            package in packages and f"{arrow.importer}.".startswith((f"{place}.", f"{place}_"))
            for place, packages in MAY_IMPORT.items()
        )

    faults = [
        arrow
        for arrow in imports()
        if arrow.at_module_level
        and (package := arrow.target.split(".")[0]) in HEAVY
        and not allowed(arrow, package)
    ]
    assert not faults, listing(faults)


def test_no_module_has_the_name_of_a_public_function() -> None:
    """Importing it would put it in the function's place."""
    clashing = set(unyoke.__all__) & {module.split(".")[0] for module in modules()}
    assert clashing == {"decays", "directions", "groups", "optimizers", "schedules", "transfer"}


def test_public_names_are_found_and_others_are_not() -> None:
    assert set(unyoke.__all__) <= set(dir(unyoke))
    assert unyoke.release is importlib.import_module("unyoke.releasing").release
    assert unyoke.AdamW is importlib.import_module("unyoke.optimizers").AdamW
    with pytest.raises(AttributeError, match="'unyoke' has no attribute 'AdamV'"):
        unyoke.AdamV  # noqa: B018 - to ask for it is the test


def test_modules_are_found_without_being_imported_by_name() -> None:
    script = "import unyoke; print(unyoke.backends.ALL['eager'].name, unyoke.equation.__name__)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["eager", "unyoke.equation"]


def test_import_unyoke_is_light(capsys: pytest.CaptureFixture[str]) -> None:
    """In a process of its own: neither the heavy packages nor the study come along.

    Not with all of its public names either; and torch only with them.
    """
    script = """
import json, sys, time
import unyoke
alone = "torch" in sys.modules
import torch
before, start = set(sys.modules), time.perf_counter()
for name in unyoke.__all__:
    getattr(unyoke, name)
seconds = time.perf_counter() - start
print(json.dumps([seconds, alone, sorted(set(sys.modules) - before)]))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds, with_torch, new = json.loads(run.stdout)
    with capsys.disabled():
        print(f"\nall of unyoke adds {1000 * seconds:.1f} ms to `import torch`")
    assert not with_torch
    assert "unyoke.optimizers" in new
    heavy = [name for name in new if name.split(".")[0] in HEAVY]
    assert not heavy, f"unyoke brings {heavy}"
    assert not [name for name in new if name.startswith(("unyoke.study", "unyoke.cli"))]


NAMED_ONLY = {
    ("", "any"): "the package's public names are fetched when somebody asks for them",
    ("compat", "any"): "old names lead to wherever the new ones are",
    (
        "directions",
        "optimizers",
    ): "a direction that one optimizer has stands beside it, in its file",
    ("masks", "directions.masked"): "where pickle looks masked directions up",
}
"""Modules that are named in a string, to be imported later, by those who stand below them."""


def named_in_strings() -> Iterator[tuple[str, str]]:
    """(module, one of unyoke's modules that it names in a string) where the arrow points up."""
    for module in modules():
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                target = below_unyoke(node.value)
                if not target or target not in modules() or node.value != f"unyoke.{target}":
                    continue
                lower, upper = str(place(module)), str(place(target))
                if lower != upper and RUNG[upper] >= RUNG[lower]:
                    yield module, target


def test_names_in_strings_point_down_too() -> None:
    found = set(named_in_strings())
    assert ("directions", "optimizers") in found
    faults = {pair for pair in found if not {pair, (pair[0], "any")} & NAMED_ONLY.keys()}
    assert not faults

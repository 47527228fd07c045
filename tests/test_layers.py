"""The house of the package: arrows point down only, and heavy things wait until they are used.

Reads the imports of every file under src/unyoke. A new file needs no edit here: what `RUNGS` does
not name stands wherever its own imports put it, and must not be a way around the order.
"""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import unyoke

ROOT = Path(__file__).parents[1] / "src" / "unyoke"
FACADE = "the package itself"  # src/unyoke/__init__.py
RUNGS: tuple[frozenset[str], ...] = (
    frozenset({"primitives"}),
    frozenset({"equation"}),
    frozenset({"directions", "schedules"}),
    frozenset({"decays"}),  # above schedules: normalized decay follows the length of a run
    frozenset({"storage"}),
    frozenset({"backends"}),
    frozenset({"optimizer"}),
    frozenset({"optimizers"}),
    frozenset({"groups", "interchange"}),
    frozenset({"population"}),
    frozenset({FACADE}),
    frozenset({"study", "integrations"}),
    frozenset({"cli", "__main__"}),
)

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
    for_types: bool  # under TYPE_CHECKING: not there when the program runs, so no arrow
    line: int

    def __str__(self) -> str:
        name = f".{self.name}" if self.name else ""
        return f"unyoke.{self.importer} line {self.line} imports {self.target}{name}"


def module_path(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {module_path(file): file for file in sorted(ROOT.rglob("*.py"))}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def import_nodes(
    node: ast.AST, at_module_level: bool = True, for_types: bool = False
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, at_module_level and not for_types, for_types
        else:
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from import_nodes(
                child, at_module_level and not function, for_types or is_type_checking(child)
            )


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
        for node, *when in import_nodes(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found += [Import(module, a.name, "", *when, node.lineno) for a in node.names]
                continue
            source = absolute(module, file, node)
            for alias in node.names:
                full = f"{source}.{alias.name}"
                is_module = full.removeprefix("unyoke.") in modules() and source != full
                target, name = (full, "") if is_module else (source, alias.name)
                found.append(Import(module, target, name, *when, node.lineno))
    return tuple(found)


def internal() -> list[Import]:
    """Imports of unyoke's own; of the package's, those too that it makes when it is asked."""
    own = [i for i in imports() if i.target.split(".")[0] == "unyoke"]
    return [i for i in own if not i.for_types or not i.importer]


def below_unyoke(target: str) -> str:
    return target.removeprefix("unyoke").removeprefix(".")


def room(module: str) -> str:
    """The file or folder directly below unyoke in which a module lives."""
    if module == "interchange.counterparts":  # plain facts, which checkpoints need too
        return module
    return module.split(".")[0] or FACADE


RUNG = {name: level for level, names in enumerate(RUNGS) for name in names}


@cache
def arrows() -> dict[str, dict[str, Import]]:
    """Between rooms: who imports whom, with one import as the evidence."""
    graph: dict[str, dict[str, Import]] = {room(module): {} for module in modules()}
    for arrow in internal():
        source, target = room(arrow.importer), room(below_unyoke(arrow.target))
        if source != target:
            graph[source].setdefault(target, arrow)
    return graph


def ways_from(start: str) -> dict[str, list[Import]]:
    """Every room that one can reach, with a shortest way there."""
    ways: dict[str, list[Import]] = {start: []}
    waiting = [start]
    for here in waiting:
        for there, arrow in arrows().get(here, {}).items():
            if there not in ways:
                ways[there] = [*ways[here], arrow]
                waiting.append(there)
    del ways[start]
    return ways


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


@pytest.mark.parametrize("upper", [name for name in RUNG if name in arrows()])
def test_arrows_point_down(upper: str) -> None:
    """No room leads to one on its own rung or above, by whatever way."""
    faults = [
        f"from {upper} to {lower}:\n{listing(way)}"
        for lower, way in ways_from(upper).items()
        if RUNG.get(lower, -1) >= RUNG[upper]
    ]
    assert not faults, "\n".join(faults)


def test_no_circles_between_rooms() -> None:
    fail_on_circles({source: set(targets) for source, targets in arrows().items()})


def test_no_circles_between_modules() -> None:
    graph: dict[str, set[str]] = {}
    for arrow in internal():
        if arrow.at_module_level and below_unyoke(arrow.target) != arrow.importer:
            graph.setdefault(arrow.importer, set()).add(below_unyoke(arrow.target))
    fail_on_circles(graph)


def test_study_and_command_line_use_public_names_only() -> None:
    """The study uses unyoke as any user would."""
    above = [i for i in internal() if RUNG.get(room(i.importer), -1) > RUNG[FACADE]]
    outside = [i for i in above if room(below_unyoke(i.target)) != room(i.importer)]
    faults = [i for i in outside if not is_public(i)]
    assert not faults, listing(faults)


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
    clashing = set(unyoke.__all__) & {room(module) for module in modules()}
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

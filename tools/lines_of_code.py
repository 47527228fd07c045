"""Lines of code by room of src/unyoke, without blank lines, comments and docstrings.

    python tools/lines_of_code.py 9560e54 HEAD

prints a table with a column for each commit; without arguments, of the files as they lie here.
Rooms are counted under the name that they have today, so that what was moved stands in one row.
"""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "src/unyoke"

TOGETHER = {
    "equation, slots, stages": ("equation", "slots", "stages", "update"),
    "_step": (
        *("_step", "capturable", "counters", "foresight", "membership", "plan", "rates"),
        *("repetition", "stepping"),
    ),
    "interchange": ("interchange", "counterparts", "convert", "decoupling"),
    "storage": ("storage", "formats"),
    "backends/cpu and _native": ("backends/cpu", "backends/_native"),
    "integrations, scheduler": ("integrations", "scheduler"),
    "the rest": (
        *("__init__", "__main__", "_support", "compat", "ranges"),
        *("callers", "decisions", "discovery", "layers", "wrappers"),
    ),
}
"""Rows of the table that have several rooms, of today or of the time before they were moved."""

ROW = {name: row for row, names in TOGETHER.items() for name in names}

UNCOUNTED = frozenset(
    {
        *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
        *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
    }
)


def code_lines(text: str) -> int:
    """How many lines of a module have code on them."""
    documented: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and (ast.get_docstring(node, clean=False) is not None):
            documented.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in UNCOUNTED:
            found.update(range(token.start[0], token.end[0] + 1))
    return len(found - documented)


def room(path: str) -> str:
    """Where a file of the package belongs in the table."""
    first, *inner = Path(path).relative_to(PACKAGE).with_suffix("").parts
    if first == "backends" and len(inner) > 1:
        first = f"backends/{inner[0]}"
    return ROW.get(first, first)


def git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def files(commit: str | None) -> Iterator[tuple[str, str]]:
    """The package's modules with their text, at a commit or as they lie here."""
    if commit is None:
        for path in sorted((ROOT / PACKAGE).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        return
    for name in git("ls-tree", "-r", "--name-only", commit, PACKAGE).split():
        if name.endswith(".py"):
            yield name, git("show", f"{commit}:{name}")


def counted(commit: str | None) -> Counter[str]:
    """Lines of code by room."""
    rooms: Counter[str] = Counter()
    for path, text in files(commit):
        rooms[room(path)] += code_lines(text)
    return rooms


def table(commits: list[str | None]) -> str:
    """Rooms by their lines now; the study apart, which the others do not need."""
    columns = [counted(commit) for commit in commits]
    rooms = sorted({name for column in columns for name in column} - {"study"})
    rooms.sort(key=lambda name: -columns[-1][name])
    rows = [(name, [column[name] for column in columns]) for name in rooms]
    rows.append(("**without the study**", [sum(c.values()) - c["study"] for c in columns]))
    rows.append(("study", [column["study"] for column in columns]))
    heading = " | ".join(commit or "here" for commit in commits)
    lines = [f"| room | {heading} |", "|---" * (1 + len(commits)) + "|"]
    lines += [f"| {name} | {' | '.join(f'{n:,}' for n in numbers)} |" for name, numbers in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table([*sys.argv[1:]] or [None]))

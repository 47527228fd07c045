"""Write out what follows from the classes in src/unyoke/optimizers; `make names` runs it.

The names for type checkers (src/unyoke/optimizers/_names.py), and the tables of docs/optimizers.md.
Nothing of the program reads them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch

from unyoke import decays, directions, optimizers
from unyoke.equation import Direction, combine

ROOT = Path(__file__).parents[1]
NAMES = ROOT / "src/unyoke/optimizers/_names.py"
PAGE = ROOT / "docs/optimizers.md"
HEADER = (
    '"""The named optimizers for type checkers; written by `make names`."""\n\n# ruff: noqa: I001\n'
)


def names() -> str:
    """The text of _names.py."""
    lines = [
        f"from {cls.__module__} import {name} as {name}"
        for name, cls in sorted(optimizers.ALL.items(), key=lambda item: item[1].__module__)
    ]
    return HEADER + "\n".join(lines) + "\n"


def _listed(is_one: Callable[[Direction], bool]) -> str:
    return ", ".join(f"`{name}`" for name, part in directions.ALL.items() if is_one(part))


def _has_one_moment(direction: Direction) -> bool:
    try:
        combine(direction, decays.get("l2_second_moment"))
    except ValueError:
        return not direction.no_decay
    return False


def _objects(direction: Direction, dimensions: int) -> bool:
    return direction.objection(torch.zeros((2,) * dimensions)) is not None


def refusals() -> str:
    """The Markdown table of what does not go together."""
    free = _listed(lambda part: bool(part.no_decay))
    matrices = _listed(lambda part: _objects(part, 3))
    no_vectors = _listed(lambda part: _objects(part, 1) and not _objects(part, 3))
    whole = _listed(lambda part: part.scope == "tensor" and not (part.stage or part.norms))
    whole += "".join(f", `{name}`" for name, part in decays.ALL.items() if part.scope == "tensor")
    lines = [
        ("", "what it says"),
        ("---", "---"),
        (
            "`l2_first_moment`, `l2_second_moment` with a direction that has no second moment of "
            f"gradients: {_listed(_has_one_moment)}",
            "use `l2`",
        ),
        (
            f"{free} with any decay, or with a mask",
            "unit vectors have nothing to decay: use `none`",
        ),
        (
            f"{matrices} with parameters that are no matrices; {no_vectors} with biases",
            "give their group another direction",
        ),
        (
            f"sparse gradients with anything but {_listed(lambda part: part.skips_zeros)}, or with "
            "a decay above 0",
            "a decay would move every row",
        ),
        (
            f"{whole}, masks on `muon`, `lamb` and the like with a compiled backend",
            "they need norms or matrices in a way of their own: eager or compile",
        ),
    ]
    return "".join(f"| {first} | {second} |\n" for first, second in lines).replace("|  |", "| |")


def with_tables(page: str) -> str:
    """A page with today's tables in the place of its own."""
    tables = {"optimizer | direction | decay |": optimizers.table(), "| what it says |": refusals()}
    for heading, table in tables.items():
        old = re.compile(rf"^\| ?{re.escape(heading)}.*\n(?:\|.*\n)+", re.MULTILINE)
        page = old.sub(lambda _, new=table: new, page)
    return page


def main() -> None:
    NAMES.write_text(names(), encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Write out what follows from the classes in src/unyoke/optimizers; `make names` runs it.

The names for type checkers (src/unyoke/optimizers/_names.py), and the table of docs/optimizers.md.
Nothing of the program reads them.
"""

from __future__ import annotations

import re
from pathlib import Path

from unyoke import optimizers

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


def with_table(page: str) -> str:
    """A page with today's table in the place of its own."""
    table = re.compile(r"^\| optimizer \| direction \| decay \|.*\n(?:\|.*\n)+", re.MULTILINE)
    return table.sub(lambda _: optimizers.table(), page)


def main() -> None:
    NAMES.write_text(names(), encoding="utf-8")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

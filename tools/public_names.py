"""Writes tests/public_names.json: every public name with its parameters, which later versions keep.

A test fails when a name goes, or takes its arguments otherwise. `make names` runs this after an
addition. Before a removal, let the old name work for one release with a DeprecationWarning.
"""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[1] / "tests" / "public_names.json"
MODULES = (
    "unyoke", "unyoke.schedules", "unyoke.groups", "unyoke.transfer", "unyoke.timescales",
    "unyoke.monitoring", "unyoke.study", "unyoke.equation", "unyoke.primitives",
    "unyoke.population", "unyoke.backends", "unyoke.integrations.timm",
    "unyoke.integrations.lightning", "unyoke.integrations.transformers",
    "unyoke.directions", "unyoke.decays", "unyoke.optimizers", "unyoke.population.inputs",
    "unyoke.population.generators", "unyoke.transfer.paste", "unyoke.transfer.run", "unyoke.compat",
)  # fmt: skip


def names(module: str) -> list[str]:
    """The public names of a module: what it lists; else what it, its files and folder define."""
    home = importlib.import_module(module)
    listed = getattr(home, "__all__", None)
    if listed is not None:
        return sorted(listed)
    own = {
        name
        for name, value in vars(home).items()
        if not name.startswith("_")
        and f"{getattr(value, '__module__', '')}.".startswith(f"{module}.")
    }
    return sorted(own | set(getattr(home, "ALL", ())))


def parameters(thing: Any) -> list[str] | None:
    """Each parameter as it is written, but without its type; None of what is no function."""
    if not callable(thing):
        return None
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return None
    found = []
    for parameter in signature.parameters.values():
        text = parameter.replace(annotation=inspect.Parameter.empty)
        mark = "*, " if parameter.kind is parameter.KEYWORD_ONLY else ""
        default = text.default
        if default is not parameter.empty and " at 0x" in repr(default):
            text = text.replace(default=getattr(default, "__qualname__", "…"))
        found.append(f"{mark}{text}")
    return found


def public() -> dict[str, list[str] | None]:
    """Every public name with its parameters."""
    return {
        f"{module}.{name}": parameters(getattr(importlib.import_module(module), name))
        for module in MODULES
        for name in names(module)
    }


if __name__ == "__main__":
    text = json.dumps(public(), indent=1, ensure_ascii=False, sort_keys=True)
    FILE.write_text(text + "\n", encoding="utf-8")

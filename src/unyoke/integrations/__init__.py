"""What a framework needs that its own interface cannot say; each module loads its framework late.

Most frameworks need nothing: they take an optimizer of torch's kind. See docs/frameworks.md.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["lightning", "timm", "transformers"]


def __getattr__(name: str) -> Any:
    """One of the modules, imported when it is first asked for."""
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

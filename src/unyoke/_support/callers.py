"""Warnings that point at the line of the user's own program that led to them."""

from __future__ import annotations

import sys
import warnings

OTHERS = ("unyoke", "torch", "importlib")
"""Whose frames lie between that line and a warning."""


def warn(text: str | None, category: type[Warning] = UserWarning) -> None:
    """Warn where somebody has called us; None says nothing."""
    if text is not None:
        warnings.warn(text, category, stacklevel=_depth())


def _depth() -> int:
    """Frames from the caller of this up to the user's."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None:
        if frame.f_globals.get("__name__", "").split(".")[0] not in OTHERS:
            break
        depth += "importlib._bootstrap" not in frame.f_code.co_filename  # those do not count
        frame = frame.f_back
    return depth

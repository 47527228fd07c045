"""Triton's interpreter in the place of a GPU."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from packaging.version import Version

from unyoke import backends


def interpret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the gpu backend run in the interpreter, or skip the test where it cannot."""
    pytest.importorskip("triton", reason="triton is not installed")
    theirs, numpys = version("triton"), version("numpy")
    if Version(theirs) < Version("3.7") and Version(numpys) >= Version("2.4"):
        pytest.skip(f"the interpreter of Triton {theirs} cannot use NumPy {numpys}")
    from unyoke.backends.gpu import Interpreter

    monkeypatch.setattr(backends.ALL["gpu"], "_runtime", Interpreter())

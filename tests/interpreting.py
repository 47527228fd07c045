"""Triton's interpreter in the place of a GPU: the same kernels on CPU tensors, slowly."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from packaging.version import Version

from unyoke import backends
from unyoke.backends.gpu.runtime import Launcher, Runtime

try:
    import triton.language as tl
except ImportError:  # then `interpret` skips the test
    tl = None

if TYPE_CHECKING:
    from unyoke.backends.gpu.language import Language


def interpret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the gpu backend run in the interpreter, or skip the test where it cannot."""
    pytest.importorskip("triton", reason="triton is not installed")
    theirs, numpys = version("triton"), version("numpy")
    if Version(theirs) < Version("3.7") and Version(numpys) >= Version("2.4"):
        pytest.skip(f"the interpreter of Triton {theirs} cannot use NumPy {numpys}")
    monkeypatch.setattr(backends.ALL["gpu"], "_runtime", Interpreter())


class Interpreter(Runtime):
    """Runs kernels with NumPy."""

    device_type = "cpu"

    def why_not(self) -> str | None:
        return None if importlib.util.find_spec("triton") else "triton is not installed"

    def why_not_on(self, device: torch.device) -> str | None:
        return None

    def capturing(self) -> bool:
        return False

    def staged(self, values: torch.Tensor) -> torch.Tensor:
        return values

    def language(self) -> Language:
        return _language()

    def starter(
        self, function: Any, sizes: Sequence[int], warps: int, device: torch.device
    ) -> Launcher:
        def start(programs: int, tensors: Sequence[torch.Tensor], numbers: Sequence[float]) -> None:
            with np.errstate(all="ignore"):  # NaN and infinity are nothing to warn of on a GPU
                function[(programs,)](*tensors, *numbers, *sizes)

        return start


def largest_interpreted(x):  # type: ignore[no-untyped-def]
    # tl.max is itself compiled; and the interpreter knows only its own reductions to be fast
    return tl.reduce(x, 1, tl.standard._elementwise_max, keep_dims=True)


@functools.cache
def _language() -> Language:
    from triton.runtime.interpreter import InterpretedFunction

    from unyoke.backends.gpu.language import WORDS, Language, largest

    words = {**WORDS, largest: largest_interpreted}
    return Language(lambda f, numbers: InterpretedFunction(f), words)

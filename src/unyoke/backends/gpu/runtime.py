"""Where kernels run: on NVIDIA GPUs; tests have Triton's interpreter in their place."""

from __future__ import annotations

import functools
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import torch

if TYPE_CHECKING:
    from unyoke.backends.gpu.language import Language

OLDEST = (8, 0)
"""Compute capability for which kernels are compiled and checked in the tests (A100)."""


class Runtime(ABC):
    """Something that can run a kernel.

    Attributes:
        device_type: of tensors that it can work on.
    """

    device_type: ClassVar[str]

    def __str__(self) -> str:
        return self.device_type

    @abstractmethod
    def why_not(self) -> str | None:
        """What is missing here, whatever the tensors are."""

    @abstractmethod
    def why_not_on(self, device: torch.device) -> str | None:
        """What a device lacks."""

    @abstractmethod
    def capturing(self) -> bool:
        """Whether what runs now is recorded into a CUDA graph."""

    @abstractmethod
    def staged(self, values: torch.Tensor) -> torch.Tensor:
        """The same values where the device can fetch them without making the host wait."""

    @abstractmethod
    def language(self) -> Language:
        """What makes Triton functions of formulas and texts."""

    @abstractmethod
    def starter(
        self, function: Any, sizes: Sequence[int], warps: int, device: torch.device
    ) -> Launcher:
        """What runs a Triton function on a device, with these constants at the end."""


Launcher: TypeAlias = Callable[[int, Sequence[torch.Tensor], Sequence[float]], None]
"""Starts so many programs of one kernel with these tensors and then these numbers."""


class Nvidia(Runtime):
    """GPUs, by way of Triton's compiler."""

    device_type = "cuda"

    def why_not(self) -> str | None:
        return _missing_here()

    def why_not_on(self, device: torch.device) -> str | None:
        capability = torch.cuda.get_device_capability(device)
        if capability < OLDEST:
            return (
                f"{torch.cuda.get_device_name(device)} has compute capability "
                f"{capability[0]}.{capability[1]}, and kernels need {OLDEST[0]}.{OLDEST[1]} or "
                "later (bfloat16 and Triton's own support begin there)"
            )
        return None

    def capturing(self) -> bool:
        return torch.cuda.is_current_stream_capturing()

    def staged(self, values: torch.Tensor) -> torch.Tensor:
        return values.pin_memory()

    def language(self) -> Language:
        from unyoke.backends.gpu.language import compiled

        return compiled()

    def starter(
        self, function: Any, sizes: Sequence[int], warps: int, device: torch.device
    ) -> Launcher:
        return _OnGpu(function, sizes, warps, device)


@functools.cache
def _missing_here() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed (torch's CUDA builds bring it; on its own: pip install it)"
    if torch.version.hip is not None:
        return "this torch is built for ROCm, and the kernels are tested on NVIDIA GPUs only"
    if not torch.cuda.is_available():
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU only"
        return (
            "no GPU: looked for an NVIDIA one by torch.cuda.is_available() "
            f"(this torch is built for {built})"
        )
    return None


class _OnGpu:
    """Compiles at the first call; later calls go straight to the compiled kernel."""

    def __init__(
        self, function: Any, sizes: Sequence[int], warps: int, device: torch.device
    ) -> None:
        self._device = device.index
        self._kernel = function
        self._sizes = sizes
        self._warps = warps
        self._compiled: Any = None
        self._direct = True

    def __call__(
        self, programs: int, tensors: Sequence[torch.Tensor], numbers: Sequence[float]
    ) -> None:
        if torch.cuda.current_device() != self._device:
            with torch.cuda.device(self._device):
                self(programs, tensors, numbers)
        elif self._compiled is None:
            self._compiled = self._kernel[(programs,)](
                *tensors, *numbers, *self._sizes, num_warps=self._warps
            )
        else:
            # Of a tensor Triton would ask the address and check it
            addresses = [tensor.data_ptr() for tensor in tensors]
            self._start(programs, (*addresses, *numbers, *self._sizes))

    def _start(self, programs: int, words: Sequence[Any]) -> None:
        """Launch, past what Triton does for hooks, which takes longer, where there are none."""
        compiled = self._compiled
        if self._direct and not _hooks():
            stream = torch._C._cuda_getCurrentRawStream(self._device)
            place = (programs, 1, 1, stream, compiled.function, compiled.packed_metadata)
            try:
                compiled.run(*place, None, None, None, *words)
            except TypeError:  # another Triton; nothing was launched
                self._direct = False
            else:
                return
        compiled[(programs, 1, 1)](*words)


def _hooks() -> bool:
    """Whether somebody, a profiler, waits for launches."""
    from triton import knobs

    runtime = knobs.runtime
    return any(
        hook is not None and getattr(hook, "calls", True)
        for hook in (runtime.launch_enter_hook, runtime.launch_exit_hook)
    )

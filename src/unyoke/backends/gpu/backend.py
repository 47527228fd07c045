"""The ``gpu`` backend: which work it can do, and the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from unyoke.backends.base import Backend, Work
from unyoke.backends.gpu.runtime import Nvidia, Runtime

if TYPE_CHECKING:
    from unyoke.backends.gpu.coefficients import CoefficientKernel
    from unyoke.backends.gpu.prepared import Prepared


class Gpu(Backend):
    """A rule's formula compiled by Triton into one launch over all tensors.

    Args:
        runtime: where kernels run; NVIDIA GPUs unless a test says otherwise.
    """

    name = "gpu"

    def __init__(self, runtime: Runtime | None = None) -> None:
        self._runtime = runtime or Nvidia()

    def why_not(self, work: Work) -> str | None:
        prepared: Prepared | None = work.cache.get(self.name)
        if prepared is not None and prepared.holds(work):
            return None
        missing, device = self.missing(), work.weights[0].device
        if missing is None and device.type != self._runtime.device_type:
            missing = f"the tensors are on {device}, and this backend is for {self._runtime}"
        return missing if missing is not None else self._prepare(work)

    def missing(self) -> str | None:
        return self._runtime.why_not()

    def step(self, work: Work) -> None:
        work.cache[self.name].run(work)

    def captured(self, work: Work) -> Prepared | None:
        prepared: Prepared | None = work.cache.get(self.name)
        return prepared

    def coefficient_kernel(
        self, device: torch.device, values: Mapping[str, Any]
    ) -> CoefficientKernel | None:
        """What can form an update's numbers on a device; None where torch does.

        Args:
            device: where the counters are.
            values: what the numbers are formed from beside these.
        """
        if self.missing() is not None or device.type != self._runtime.device_type:
            return None
        if self._runtime.capturing():
            return None  # nothing can be made ready now
        from unyoke.backends.gpu.coefficients import CoefficientKernel

        return CoefficientKernel(self._runtime, device, values)

    def _prepare(self, work: Work) -> str | None:
        """Make the work's launches; the reason if that cannot be."""
        from unyoke.backends.gpu import launches
        from unyoke.backends.gpu.prepared import Prepared

        objection = launches.objection_to(work, self._runtime)
        if objection is None:
            before: Prepared | None = work.cache.get(self.name)
            work.cache[self.name] = Prepared(work, self._runtime, before)
        return objection

"""The ``gpu`` backend: which work it can do, and the step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unyoke.backends.base import Backend, Work
from unyoke.backends.gpu.runtime import Nvidia, Runtime

if TYPE_CHECKING:
    from unyoke.backends.gpu.coefficients import CoefficientKernel
    from unyoke.backends.gpu.launches import Prepared


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
        device = work.weights[0].device
        if (reason := self.missing()) is not None:
            return reason
        if device.type != self._runtime.device_type:
            return f"the tensors are on {device}, and this backend is for {self._runtime}"
        from unyoke.backends.gpu import launches

        if (reason := launches.objection_to(work, self._runtime)) is None:
            work.cache[self.name] = launches.Prepared(work, self._runtime, prepared)
        return reason

    def missing(self) -> str | None:
        return self._runtime.why_not()

    def step(self, work: Work) -> None:
        work.cache[self.name].run(work)

    def captured(self, work: Work) -> Prepared | None:
        prepared: Prepared | None = work.cache.get(self.name)
        return prepared

    def coefficient_kernel(self, *formation: Any) -> CoefficientKernel | None:
        """What forms an update's numbers on a device; None while a graph is being recorded.

        The arguments are those of :class:`.coefficients.CoefficientKernel` behind the first.
        """
        if self._runtime.capturing():
            return None  # nothing can be made ready now
        from unyoke.backends.gpu.coefficients import CoefficientKernel

        return CoefficientKernel(self._runtime, *formation)

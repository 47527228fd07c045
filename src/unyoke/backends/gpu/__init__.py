"""The ``gpu`` backend: a rule's formula compiled by Triton into one launch over all tensors.

    backend.py        which work it does, and the step
    launches.py       what it cannot do, and one launch for each kernel of what it can
    launch.py         tensors that share a launch, and their tables on the device
    tables.py         which chunk of which tensor a program updates
    source.py         the text of a kernel, around the stages of an element
    language.py       a formula for Triton: its own text with other names bound
    kernels.py        text and formula together
    coefficients.py   coefficients formed on the device, for CUDA graphs
    runtime.py        where kernels run: NVIDIA GPUs

Triton is imported at the first step that uses it.
"""

from unyoke.backends.gpu.backend import Gpu

__all__ = ["Gpu"]

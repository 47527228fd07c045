"""The ``gpu`` backend: a rule's formula compiled by Triton into one launch over all tensors.

    backend.py   the questions and the deed of a backend
    prepared.py  a work's launches, and whether they are still true
    batches.py   what it cannot do, and the work in parts of one kernel each
    places.py    where tensors are, looked up anew at each step
    batch.py     tensors that share a launch, and their tables on the device
    tables.py    which chunk of which tensor a program updates
    source.py    the text of a kernel, around the formula
    language.py  a formula for Triton: its own text with other names bound
    kernels.py   text and formula together
    machine.py   where kernels run: NVIDIA GPUs, or Triton's interpreter

Triton is imported at the first step that uses it.
"""

from unyoke.backends.gpu.backend import Gpu
from unyoke.backends.gpu.machine import Interpreter

__all__ = ["Gpu", "Interpreter"]

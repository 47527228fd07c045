"""The ``cpu`` backend: a rule's formula compiled by Numba into one fused pass over all tensors.

    backend.py   which work it does, and the step
    prepared.py  the tables of a group, and the numbers of an update
    normed.py    with norms of whole tensors, which are formed first
    table.py     what a kernel is told of the tensors that it serves, cut into chunks
    source.py    the text of a kernel: loops around the stages of an element
    compiled.py  what the names in it stand for: the formulas, for Numba
    literals.py  a pass of Numba's compiler for their literals
    kernels.py   text and formulas together, as machine code
    workers.py   threads for large work
    threads.py   torch's threads, lent for it

Nothing heavier than NumPy is imported before the first step, and Numba only if the machine code is
not yet on disk.
"""

from unyoke.backends.cpu.backend import Cpu

__all__ = ["Cpu"]

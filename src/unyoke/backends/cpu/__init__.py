"""The ``cpu`` backend: a rule's formula compiled by Numba into one fused pass over all tensors.

    backend.py   the questions and the deed of a backend
    layout.py    which tensors a flat loop may run through
    located.py   where they lie, looked up anew at each step
    table.py     with that what a kernel is told of them
    kernels.py   the text of a rule's loop
    compiled.py  what the names in it stand for: the formula, for Numba
    native.py    what Numba has no word for
    machine.py   from text to machine code, kept on disk
    pool.py      threads for large work
    team.py      torch's threads, lent for it

Nothing heavier than NumPy is imported before the first step, and Numba only if the machine code is
not yet on disk.
"""

from unyoke.backends.cpu.backend import Cpu

__all__ = ["Cpu"]

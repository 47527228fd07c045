"""The ``eager`` backend: a rule's formula on torch tensors, on any device and in any dtype.

backend.py   which work it can do, and the step; the update of one tensor, the definition
flat.py      many small tensors as one, large ones piece by piece
in_place.py  the formula as operations in place
"""

from unyoke.backends.eager.backend import Eager, memory_objection, real

__all__ = ["Eager", "memory_objection", "real"]

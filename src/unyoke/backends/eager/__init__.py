"""The ``eager`` backend: a rule's formula on torch tensors, on any device and in any dtype.

backend.py   which work it can do, and the step; the update of one tensor, the definition
flat.py      many small tensors as one, large ones piece by piece
in_place.py  the formula as operations in place
"""

from unyoke.backends.eager.backend import Eager, as_real, memory_objection

__all__ = ["Eager", "as_real", "memory_objection"]

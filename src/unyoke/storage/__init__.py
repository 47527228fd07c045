"""How state and weights are kept: float32, bfloat16 or 8-bit blocks, and how they are rounded."""

from unyoke.compat import moved_into

__getattr__ = moved_into(__name__, "unyoke.storage.encodings")

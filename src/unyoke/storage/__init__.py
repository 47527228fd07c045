"""How state and weights are kept: float32, bfloat16 or 8-bit blocks, and how they are rounded."""

from unyoke.compat import moved_into

_ROOMS = ("encodings", "rounding", "random_words")
__getattr__ = moved_into(__name__, *(f"unyoke.storage.{room}" for room in _ROOMS))

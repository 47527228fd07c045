"""How cells are trained, one by one or stacked."""

from unyoke.compat import moved_into

__getattr__ = moved_into(__name__, "unyoke.study.training.training")

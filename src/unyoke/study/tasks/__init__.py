"""Tasks: data, model, loss and metric from a seed."""

from unyoke.compat import moved_into

__getattr__ = moved_into(__name__, "unyoke.study.tasks.registry")

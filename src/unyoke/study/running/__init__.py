"""Who trains the cells: processes, clusters, and the driver that writes."""

from unyoke.compat import moved_into

__getattr__ = moved_into(__name__, "unyoke.study.running.dispatch")

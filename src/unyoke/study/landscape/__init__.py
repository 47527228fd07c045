"""What a map is of: a task over learning rate × weight decay, and what one cell gives."""

from unyoke.compat import moved_into

__getattr__ = moved_into(__name__, "unyoke.study.landscape.landscape")

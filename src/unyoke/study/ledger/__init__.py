"""One file in which every cell is claimed, run and recorded once."""

from unyoke.compat import moved_into

__getattr__ = moved_into(__name__, "unyoke.study.ledger.ledger")

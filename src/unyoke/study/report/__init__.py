"""What is drawn and written from a ledger."""

from unyoke.compat import moved_into

__getattr__ = moved_into(__name__, "unyoke.study.report.report")

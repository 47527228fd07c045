"""The part of a step in which something changes: it happens whole, whatever interrupts it.

Ctrl-C, or a signal whose handler raises, can come between any two instructions of Python. Before
the commit a step only forms numbers, and an interrupt leaves everything as it was. The commit
itself is made of parts that either know that they are done or may be done twice; so it is gone on
with before the interrupt is passed on. Where a part is neither, as what eager makes in many
operations, the handlers of signals are put off until the commit is over.
"""

from __future__ import annotations

from collections.abc import Callable

from unyoke.backends.interrupts import put_off


def whole(make: Callable[[], None], resumes: bool) -> None:
    """Call ``make``; if it is interrupted, call it again until it has come to its end, then raise.

    Args:
        make: what changes something.
        resumes: whether ``make`` goes on where it was when it is called again. To put off the
            handlers takes some microseconds, half as long as a small update in compiled code.
    """
    if not resumes:
        put_off(make)
        return
    try:
        make()
    except BaseException:  # Ctrl-C's, or whatever a handler raises, may leave a half-made update
        while not _ends(make):
            pass
        raise


def _ends(make: Callable[[], None]) -> bool:
    """False if it was interrupted by hand once more; an error is raised."""
    try:
        make()
    except KeyboardInterrupt:
        return False
    return True

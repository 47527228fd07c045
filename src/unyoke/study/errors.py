"""Exceptions that a user of the study can mend, and the words for all others."""


class StudyError(Exception):
    """Something is wrong with the input, the ledger or the machine, and the user can mend it.

    The message is one line: what failed with its value, why, and what to do. The command line
    prints it and exits with code 2.
    """


class TaskError(StudyError):
    """What a task is for one seed cannot be trained; the cells of that seed have failed."""


def in_one_line(error: BaseException) -> str:
    """The class and the message of an exception, whatever it is."""
    try:
        text = " ".join(str(error).split())
    except Exception as broken:
        text = f"(its message cannot be read: {type(broken).__name__})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

"""The one exception of the study that a user can mend."""


class StudyError(Exception):
    """Something is wrong with the input, the ledger or the machine, and the user can mend it.

    The message is one line: what failed with its value, why, and what to do. The command line
    prints it and exits with code 2.
    """


class TaskError(StudyError):
    """What a task is for one seed cannot be trained; the cells of that seed have failed."""

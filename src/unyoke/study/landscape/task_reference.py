"""Which task a map is of, with the code and the data that decide its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from unyoke.study.landscape import calls

MOST_NAMED = 5
"""Changed files that are named; of more, how many there are."""


class OwnCode(NamedTuple):
    """An optimizer, a decay rule or a schedule of a user's own file.

    Attributes:
        name: `file.py:function`, without the folder.
        digest: of the file, with what it imports.
        file: where it lies. Not part of what it is.
        direction: of an optimizer: the name of a direction of unyoke's, or `file.py:name` of one
            that the file has; None where it is not known, as of a function.
        decay: the same of an optimizer's decay; of a decay rule, what it is itself.
        for_matrices: of an optimizer: whether its direction takes matrices alone; None where it is
            not known, as of a function, and in a ledger that is older than this.
    """

    name: str
    digest: str
    file: str
    direction: str | None = None
    decay: str | None = None
    for_matrices: bool | None = None


@dataclass(frozen=True)
class TaskReference:
    """Which task, by name and by the code that defines it.

    Attributes:
        name: of a built-in task, or `file.py:function`.
        digest: of the source that defines it, with what that imports; other source is another task.
        trainer: digest of unyoke's own source that trains it; None in a ledger that is older than
            this. Other source may give other numbers, so they are not put beside each other.
        file: where a user's own task lies, or None. Not part of what the task is.
        data: the folder of the data that it reads, or None. Not part of what the task is.
        data_digest: of the contents of that data; other data make another task.
        device: on which it is trained, as torch names it; None is the CPU. Not part of what it is.
        own: the user's own optimizers, decay rules and schedules, which a cell's digest has if it
            is of them.
        files: the digest of each file that `digest` and `trainer` stand for, by its module; empty
            in a ledger that is older than this. They tell which file was changed.
    """

    name: str
    digest: str
    trainer: str | None = None
    file: str | None = None
    data: str | None = None
    data_digest: str | None = None
    device: str | None = None
    own: tuple[OwnCode, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def version(self) -> str:
        """The digests of the code, of the code that trains it, and of the data, as far as known."""
        return "-".join(filter(None, (self.digest, self.trainer, self.data_digest)))

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> TaskReference:
        """The reference that was written as JSON."""
        own = tuple(OwnCode(*each) for each in plain.get("own", ()))
        return cls(**{**plain, "own": own})

    def version_with(self, optimizer: str, schedule: str) -> str:
        """`version`, with the digests of a cell's own optimizer and schedule."""
        if not self.own:
            return self.version
        named = {part for text in (optimizer, schedule) for part in calls.parse(text).own_parts}
        return "-".join((self.version, *(each.digest for each in self.own if each.name in named)))

    def difference(self, other: TaskReference) -> str | None:
        """What `other` has otherwise, in words, or None; where its file and data lie is nothing."""
        if self.name != other.name:
            return f"task {self.name}, not {other.name}"
        if (changed := self.other_code(other)) is not None:
            return changed
        if self.data_digest != other.data_digest:
            return f"other data of the task {self.name}"
        return None

    def other_code(self, other: TaskReference) -> str | None:
        """Which code `other` has otherwise, in words, or None."""
        if self.trainer != other.trainer:
            versions = f"{self.trainer or 'older'}, not {other.trainer}"
            return f"filled by other code of unyoke: {self._changed(other) or versions}"
        if self.digest != other.digest:
            changed = self._changed(other)
            return f"other code of the task {self.name}" + (f": {changed}" if changed else "")
        theirs = {each.name: each.digest for each in other.own}
        for each in self.own:
            if theirs.get(each.name, each.digest) != each.digest:
                return f"other code of {each.name}"
        return None

    def with_code_of(self, other: TaskReference) -> TaskReference:
        """The same task, named by the code that another reference was made for."""
        theirs = {each.name: each for each in other.own}
        own = tuple(theirs.get(each.name, each) for each in self.own)
        return replace(self, digest=other.digest, trainer=other.trainer, files=other.files, own=own)

    def _changed(self, other: TaskReference) -> str:
        """The files that differ, as far as both know theirs."""
        if not self.files or not other.files:
            return ""
        names = sorted(
            name
            for name in self.files.keys() | other.files.keys()
            if self.files.get(name) != other.files.get(name)
        )
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        return ", ".join(names[:MOST_NAMED]) + more

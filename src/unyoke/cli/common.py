"""What all commands have in common: how their words are read, and how they refuse."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

DEVICE = "Where to train, such as cuda.  [default: the CPU]"
ACCEPT = "Go on with a ledger that other code began; its report names what was changed."
EXECUTOR = "processes, dask:ADDRESS, ray:ADDRESS or slurm[:NAME=VALUE,…]."

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

RENAMED: Mapping[str, str] = {"--looks": "--evaluations", "--draw": "--report-only"}
"""Options by the names that they had before version 0.2; they work for one release."""


class Word(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4 only
    """A word of the command line, read by a function of `unyoke.study.planning.words`.

    What the function refuses is said of the option. It is imported when there is something to read.

    Args:
        metavar: how the word is shown in help.
        reader: the function's name.
        what: what the word is, in errors; None for functions that know.
    """

    def __init__(self, metavar: str, reader: str, what: str | None = None) -> None:
        self.name = metavar
        self._reader = reader
        self._what = () if what is None else (what,)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        from unyoke.study.errors import StudyError
        from unyoke.study.planning import words

        try:
            return getattr(words, self._reader)(value, *self._what)
        except StudyError as error:
            self.fail(str(error), param, ctx)


SHARD = Word("I/N", "shard")


class Positive(click.FloatRange):
    """A finite number above 0: click's own range lets NaN and infinity through."""

    def __init__(self) -> None:
        super().__init__(0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number above 0", param, ctx)
        return number


class Refusal(click.ClickException):
    """A mistake that the user can mend: one line, exit code 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"unyoke: {self.format_message()}", err=True)


class Command(click.Command):
    """A command that still knows its options by the names in `RENAMED`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {name for param in self.params for name in param.opts}
        return super().parse_args(ctx, [_today(arg, known) for arg in args])


def _today(arg: str, known: set[str]) -> str:
    """An argument with its option's name of today."""
    name, equals, value = arg.partition("=")
    new = RENAMED.get(name)
    if new is None or new not in known:
        return arg
    click.echo(
        f"unyoke: DeprecationWarning: {name} is called {new}; the old name goes with the next "
        "release",
        err=True,
    )
    return f"{new}{equals}{value}"


class Commands(click.Group):
    """A group in which every mistake of the user's is one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        from unyoke.study import StudyError

        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            command = (error.ctx or ctx).command_path
            said = error.format_message().rstrip(".")
            raise Refusal(f"{said}. See: {command} --help") from error
        except StudyError as error:
            raise Refusal(str(error)) from error


@contextmanager
def going_on_later() -> Iterator[None]:
    """Ctrl-C ends the command with a word on how it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("\ninterrupted; what is done is kept, and the same command goes on", err=True)
        raise SystemExit(INTERRUPTED) from None

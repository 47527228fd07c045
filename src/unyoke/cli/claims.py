"""`unyoke claims` and `unyoke figure`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from unyoke.cli.common import ACCEPT, DEVICE, EXECUTOR, SHARD, Command, Word, going_on_later

FOLDER = "Folder for ledgers and pages.  [default: unyoke-claims]"
TASKS = Word("NAME,…", "names", "task")

TRAINED = (
    click.option(
        "--scale", default="laptop", show_default=True, help="Or smoke, cpu-night, gpu, paper."
    ),
    click.option("--data", multiple=True, metavar="TASK=FOLDER", help="Where a task's files are."),
    click.option("--out", type=click.Path(path_type=Path), default="unyoke-claims", help=FOLDER),
    click.option("--workers", type=click.IntRange(1), help="Processes.  [default: one per core]"),
    click.option("--executor", default="processes", show_default=True, help=EXECUTOR),
    click.option("--shard", type=SHARD, help="Only part I of N of every ledger's trainings."),
    click.option("--device", help=DEVICE),
    click.option("--report-only", is_flag=True, help="Report what is recorded."),
    click.option("--accept-code", is_flag=True, help=ACCEPT),
    click.option("--dry-run", is_flag=True, help="Say what would be trained, and how long."),
)
"""Options of the commands that train what they show."""


def trained(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options `TRAINED`."""
    for option in reversed(TRAINED):
        command = option(command)
    return command


@click.command("claims", cls=Command)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@trained
@click.option("--tasks", type=TASKS, help="[default: the scale's]")
@click.option("--results", type=click.Path(path_type=Path), help="A Markdown page to publish.")
def claims_command(
    names: tuple[str, ...],
    tasks: tuple[str, ...] | None,
    results: Path | None,
    scale: str,
    data: tuple[str, ...],
    out: Path,
    **how: Any,
) -> None:
    """Test the paper's claims: all, or those named, such as p1 or generalisation/adam.

    Ctrl-C keeps what is done; the same command goes on from there, and draws the page anew from
    finished ledgers without training.
    """
    from unyoke.study.claims import command

    with going_on_later():
        command.claims(
            names,
            scale=scale,
            tasks=tasks or (),
            data=data,
            out=out,
            how=command.How(**how),
            results=results,
            say=click.echo,
        )


@click.command("figure", cls=Command)
@click.argument("number", metavar="1|2|3|4|s1|s2|s3|s4")
@trained
@click.option("--task", help="[default: the scale's first]")
def figure_command(
    number: str, task: str | None, scale: str, data: tuple[str, ...], out: Path, **how: Any
) -> None:
    """Draw a figure of the paper, trained here, with its data beside it."""
    from unyoke.study.claims import command

    with going_on_later():
        command.figure(
            number,
            scale=scale,
            task=task,
            data=data,
            out=out,
            how=command.How(**how),
            say=click.echo,
        )

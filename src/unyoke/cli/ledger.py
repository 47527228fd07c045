"""`unyoke ledger`: show, release, merge, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from unyoke.study.ledger.ledger import Claims

EXPORT = "FILE.csv, .json, .parquet, or .db for Optuna's dashboard."


@click.group("ledger")
def ledger_command() -> None:
    """Show ledgers, put them together, take them elsewhere."""


@ledger_command.command()
@click.argument("folder", type=click.Path(path_type=Path))
def show(folder: Path) -> None:
    """Tell which landscape FOLDER's ledger is of and how far it has come."""
    from unyoke.study.ledger.ledger import Ledger

    with Ledger.open_to_read(folder) as open_ledger:
        count = open_ledger.count()
        claims = open_ledger.claimed()
        click.echo(open_ledger.landscape.summary())
        failed = f", {count.failed} failed" if count.failed else ""
        click.echo(
            f"{count.done} of {count.total} done, {count.diverged} of these diverged{failed}"
        )
        for one in claims:
            click.echo(_whose(one))
        versions = sorted({record.versions for record in open_ledger.records()})
    for each in versions:
        click.echo(f"made with {each}")


@ledger_command.command()
@click.argument("folder", type=click.Path(path_type=Path))
def release(folder: Path) -> None:
    """Open what a dead machine has claimed in FOLDER's ledger; says whose it was.

    A machine that dies holds its claims for ten minutes more. One that still lives loses what it
    has not recorded yet.
    """
    from unyoke.study.ledger.ledger import Ledger

    with Ledger.open_to_release(folder) as open_ledger:
        released = open_ledger.release()
    for one in released:
        click.echo(_whose(one))
    click.echo(f"{sum(one.cells for one in released)} trainings are open again")


def _whose(claims: Claims) -> str:
    import time

    left = claims.lease_until - time.time()
    until = f"for {left:.0f} s more" if left > 0 else f"until {-left:.0f} s ago"
    return f"{claims.cells} claimed by process {claims.process} of {claims.machine}, {until}"


@ledger_command.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new folder.")
def merge(folders: tuple[Path, ...], out: Path) -> None:
    """Put the ledgers of FOLDERS together into a new one; they stay as they are."""
    from unyoke.study.ledger.merge import merge

    merged = merge(folders, out)
    click.echo(f"{out}: {merged.done} of {merged.total} done")
    if merged.repeated:
        click.echo(
            f"{merged.repeated} were done twice, {merged.different} of them with other figures: "
            "the earlier were kept"
        )


@ledger_command.command("export")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--to", "path", required=True, type=click.Path(path_type=Path), help=EXPORT)
@click.option("--force", is_flag=True, help="Overwrite the file.")
def export_command(folder: Path, path: Path, force: bool) -> None:
    """Write FOLDER's finished trainings for other programs."""
    from unyoke.study.report.export import export

    click.echo(f"{path}: {export(folder, path, force=force)} trainings")

"""The command line. It parses and prints; what it does lives elsewhere.

A new command is one more function under `@main.command()`. Commands import what they need when
they run, so that `unyoke --help` needs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

REFINE = "Train only what leads to the best cells; TRAININGS in all at most."

EXECUTOR = "processes, dask:ADDRESS, ray:ADDRESS or slurm[:NAME=VALUE,…]."
EXPORT = "FILE.csv, .json, .parquet, or .db for Optuna's dashboard."
CLAIMS = "Folder for ledgers and pages.  [default: unyoke-claims]"
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


class Refusal(click.ClickException):
    """A mistake that the user can mend: one line, exit code 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"unyoke: {self.format_message()}", err=True)


class Commands(click.Group):
    """A group in which every mistake of the user's is one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        from unyoke.study import StudyError

        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            command = (error.ctx or ctx).command_path
            raise Refusal(f"{error.format_message()} See: {command} --help") from error
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


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="unyoke", prog_name="unyoke")
def main() -> None:
    """Optimizers with decoupled weight decay, and maps of error over α × λ."""


@main.command("map")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for ledger and report.")
@click.option("--task", default="digits", show_default=True, help="A name, or file.py:function.")
@click.option("--data", help="Folder of the files that the task reads.")
@click.option("--optimizers", help="Names separated by commas.  [default: Adam,AdamW,SGD,SGDW]")
@click.option("--lr", multiple=True, help="Learning rates α, e.g. 2^-10:2^-2, or AdamW=2^-10:2^-2.")
@click.option("--weight-decay", multiple=True, help="Weight decays λ, e.g. 0,2^-10:2^-3.")
@click.option("--schedule", default="cosine", show_default=True, help="Names, by commas.")
@click.option("--updates", help="Updates per training, or several budgets.  [default: the task's]")
@click.option("--epochs", help="The same in passes over the training data.")
@click.option("--batch-size", help="Samples per update, or several.  [default: the task's]")
@click.option("--seeds", help="How many seeds.  [default: the task's]")
@click.option("--looks", help="Points of a learning curve; 1 is fastest.  [default: 4 to 16]")
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: one per core]")
@click.option(
    "--engine",
    type=click.Choice(["auto", "stacked", "one_by_one"]),
    default="auto",
    show_default=True,
    help="Trainings as one program, or one by one.",
)
@click.option("--executor", default="processes", show_default=True, help=EXECUTOR)
@click.option("--shard", metavar="I/N", help="Only part I of N; see: unyoke ledger merge.")
@click.option("--quick", is_flag=True, help="A small map; of digits in under 30 seconds.")
@click.option("--extend", is_flag=True, help="Add cells to the ledger of a smaller grid.")
@click.option("--refine", is_flag=False, flag_value="whole", metavar="[TRAININGS]", help=REFINE)
def map_command(
    out: Path | None,
    workers: int | None,
    engine: str,
    executor: str,
    shard: str | None,
    quick: bool,
    extend: bool,
    refine: str | None,
    **words: Any,
) -> None:
    """Train a task over learning rate × weight decay and draw where its error is low.

    Ctrl-C keeps what is done; the same command goes on from there. An axis is a list of numbers
    and ranges: 0,2^-10:2^-3 is zero and the powers of two from 2^-10 to 2^-3, 2^-10:2^-2:4 goes in
    steps of a factor 4, and AdamW=2^-10:2^-2 is for one optimizer only. λ is the paper's weight
    decay, per update and not multiplied by α.
    """
    from unyoke.study.running import workers as worker_processes

    if executor == "processes":
        worker_processes.start_server()  # which imports torch while this process does
    from unyoke.study.planning import defaults, request
    from unyoke.study.running import driver
    from unyoke.study.running.progress import ProgressBar
    from unyoke.study.statistics import require_libraries

    require_libraries()
    rounds = None if refine is None else driver.Refine(request.budget_of_refining(refine))
    part = None if shard is None else driver.Shard(*request.shard(shard))
    if part is not None and rounds is not None:
        raise Refusal("--refine looks at the whole map, and --shard runs a part of it: give one")
    preset = defaults.quick(words["task"]) if quick else defaults.full(words["task"])
    landscape = request.landscape(preset=preset, **words)
    folder = out or Path(preset.folder)
    processes = workers or worker_processes.available_cores()
    click.echo(f"{landscape.summary()}, {processes} processes, into {folder}")
    with going_on_later():
        driver.run(
            landscape,
            folder,
            ProgressBar(),
            workers=processes,
            extend=extend,
            engine=engine,
            refine=rounds,
            executor=executor,
            shard=part,
        )
    if rounds is not None:
        click.echo(driver.saved(folder))
    _report(folder)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Draw the report of FOLDER's ledger anew, also while a run goes on."""
    _report(folder)


def _report(folder: Path) -> None:
    from unyoke.study.report.report import write_report

    written = write_report(folder)
    for line in written.lines:
        click.echo(line)
    click.echo(f"report: {written.page}")


TRAINED = (
    click.option("--scale", default="laptop", show_default=True, help="Or gpu, paper, smoke."),
    click.option("--data", multiple=True, metavar="TASK=FOLDER", help="Where a task's files are."),
    click.option("--out", type=click.Path(path_type=Path), default="unyoke-claims", help=CLAIMS),
    click.option("--workers", type=click.IntRange(1), help="Processes.  [default: one per core]"),
    click.option("--executor", default="processes", show_default=True, help=EXECUTOR),
    click.option("--shard", metavar="I/N", help="Only part I of N of every ledger's trainings."),
    click.option("--device", help="Where to train, such as cuda.  [default: the CPU]"),
    click.option("--draw", is_flag=True, help="Train nothing; answer from what is recorded."),
    click.option("--dry-run", is_flag=True, help="Say what would be trained, and how long."),
)
"""Options of the commands that train what they show."""


def trained(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options `TRAINED`."""
    for option in reversed(TRAINED):
        command = option(command)
    return command


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@trained
@click.option("--tasks", help="By commas.  [default: the scale's]")
@click.option("--results", type=click.Path(path_type=Path), help="A Markdown page to publish.")
def claims(
    names: tuple[str, ...],
    tasks: str | None,
    results: Path | None,
    scale: str,
    data: tuple[str, ...],
    out: Path,
    **how: Any,
) -> None:
    """Test the paper's claims: all, or those named, such as p1 or knobs/adam-tilt.

    Ctrl-C keeps what is done; the same command goes on from there, and draws the page anew from
    finished ledgers without training.
    """
    from unyoke.study.claims import command

    with going_on_later():
        command.claims(
            names,
            scale=scale,
            tasks=tasks,
            data=data,
            out=out,
            how=command.How(**how),
            results=results,
            say=click.echo,
        )


@main.command()
@click.argument("number", metavar="1|2|3|4|s1|s2|s3|s4")
@trained
@click.option("--task", help="[default: the scale's first]")
def figure(
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


@main.group()
def ledger() -> None:
    """Look into ledgers, put them together, take them elsewhere."""


@ledger.command()
@click.argument("folder", type=click.Path(path_type=Path))
def show(folder: Path) -> None:
    """Tell what FOLDER's ledger asks and how far it has come."""
    import time

    from unyoke.study.ledger.ledger import Ledger

    with Ledger.open_to_read(folder) as open_ledger:
        count = open_ledger.count()
        claims = open_ledger.claimed()
        click.echo(open_ledger.landscape.summary())
        click.echo(f"{count.done} of {count.total} done, {count.diverged} of these diverged")
        for one in claims:
            left = max(0.0, one.lease_until - time.time())
            click.echo(f"{one.cells} claimed by {one.owner}, for {left:.0f} s more")
        versions = sorted({record.versions for record in open_ledger.records()})
    for each in versions:
        click.echo(f"made with {each}")


@ledger.command()
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


@ledger.command("export")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--to", "path", required=True, type=click.Path(path_type=Path), help=EXPORT)
@click.option("--force", is_flag=True, help="Overwrite the file.")
def export_command(folder: Path, path: Path, force: bool) -> None:
    """Write FOLDER's finished trainings for other programs."""
    from unyoke.study.report.export import export

    click.echo(f"{path}: {export(folder, path, force=force)} trainings")


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default="bench", show_default=True)
@click.option("--quick", is_flag=True, help="Small cases on one thread, in under a minute.")
@click.option("--threads", default="1,2", show_default=True, help="Numbers of threads, by commas.")
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True)
@click.option("--peers", type=click.Path(exists=True), help="A folder with other libraries.")
def bench(out: Path, quick: bool, threads: str, rounds: int, peers: str | None) -> None:
    """Time the step of AdamW: ours, torch's and other libraries', side by side."""
    from unyoke import bench as benchmark

    counts = threads.split(",")
    if not all(count.strip().isdigit() and int(count) > 0 for count in counts):
        raise Refusal(f"--threads {threads}: give whole numbers ≥ 1, such as 1,2")
    settings = benchmark.Settings(quick, tuple(map(int, counts)), rounds, peers)
    result = benchmark.run(settings, lambda line: click.echo(line, err=True))
    for file in benchmark.write(result, out):
        click.echo(file)


@main.command()
def optimizers() -> None:
    """List the optimizers, each with its direction and decay."""
    from unyoke.optimizers import rows

    listed = rows()
    columns = [max(map(len, column)) for column in zip(*(row[:3] for row in listed), strict=True)]
    for row in listed:
        cells = [cell.ljust(width) for cell, width in zip(row[:3], columns, strict=True)]
        click.echo("  ".join((*cells, row.summary)))


@main.command()
def backends() -> None:
    """List the backends, each with what it lacks on this machine."""
    from unyoke.backends import table

    for name, lacking in table():
        click.echo(f"{name:8}{lacking or 'ready'}")

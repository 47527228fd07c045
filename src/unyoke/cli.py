"""The command line. It parses and prints; what it does lives elsewhere.

A new command is one more function under `@main.command()`. Commands import what they need when
they run, so that `unyoke --help` needs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unyoke.commands import Commands, Positive, Refusal, Word, going_on_later
from unyoke.transfer.command import COMMANDS as TRANSFER_COMMANDS
from unyoke.tuning_command import tune_command

if TYPE_CHECKING:
    from unyoke.study.landscape.landscape import Landscape
    from unyoke.study.ledger.ledger import Claims
    from unyoke.study.planning.words import RefineWord, ShardWord
    from unyoke.study.running.driver import Shard

LR = "Learning rates α, e.g. 2^-10:2^-2, or AdamW=2^-10:2^-2."
WEIGHT_DECAY = "Weight decays λ, e.g. 0,2^-10:2^-3."
OWN_SCHEDULE = "Names, or file.py:function."
CLIP = "The largest norm of a gradient, over all weights."
GROUPS = "split: biases, norms and embeddings do not decay.  [default: all]"
DEVICE = "Where to train, such as cuda.  [default: the CPU]"
TIMEOUT = "Seconds after which a training has failed, such as one that hangs."
EVALUATED = "Of each model, at most; 1 is fastest.  [default: 4 to 16]"
ACCEPT = "Go on with a ledger that other code began; its report names what was changed."
REFINE = "Train only what leads to the best cells; TRAININGS in all at most."

EXECUTOR = "processes, dask:ADDRESS, ray:ADDRESS or slurm[:NAME=VALUE,…]."
EXPORT = "FILE.csv, .json, .parquet, or .db for Optuna's dashboard."
CLAIMS = "Folder for ledgers and pages.  [default: unyoke-claims]"
RATES = Word("AXIS", "axis", "learning rate")
DECAYS = Word("AXIS", "axis", "weight decay")
OPTIMIZERS = Word("NAME[(ARGUMENT=VALUE,…)],…", "names", "optimizer")
SCHEDULES = Word("NAME[(ARGUMENT=VALUE,…)],…", "names", "schedule")
TASKS = Word("NAME,…", "names", "task")
UPDATES = Word("NUMBER,…", "counts", "updates")
EPOCHS = Word("NUMBER,…", "counts", "epochs")
BATCH_SIZES = Word("NUMBER,…", "counts", "batch size")
THREADS = Word("NUMBER,…", "counts", "threads")
SEEDS = Word("NUMBER | SEED,…", "seeds")
EVALUATIONS = Word("NUMBER", "count", "evaluations")
TRAININGS = Word("TRAININGS", "refine")
SHARD = Word("I/N", "shard")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="unyoke", prog_name="unyoke")
def main() -> None:
    """Optimizers with decoupled weight decay, and maps of error over α × λ."""


@main.command("map")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for ledger and report.")
@click.option("--task", default="digits", show_default=True, help="A name, or file.py:function.")
@click.option("--data", help="Folder of the files that the task reads.")
@click.option(
    "--optimizers",
    type=OPTIMIZERS,
    help="Names, or file.py:function.  [default: Adam,AdamW,SGD,SGDW]",
)
@click.option("--lr", type=RATES, multiple=True, help=LR)
@click.option("--weight-decay", type=DECAYS, multiple=True, help=WEIGHT_DECAY)
@click.option("--schedule", type=SCHEDULES, default="cosine", show_default=True, help=OWN_SCHEDULE)
@click.option(
    "--updates",
    type=UPDATES,
    help="Per training.  [default: the task's]",
)
@click.option("--epochs", type=EPOCHS, help="The same in passes over the training data.")
@click.option("--batch-size", type=BATCH_SIZES, help="[default: the task's]")
@click.option("--seeds", type=SEEDS, help="How many, or which.  [default: the task's]")
@click.option("--clip", type=Positive(), metavar="NORM", help=CLIP)
@click.option("--groups", type=click.Choice(["all", "split"]), default="all", help=GROUPS)
@click.option("--device", help=DEVICE)
@click.option("--evaluations", type=EVALUATIONS, help=EVALUATED)
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: one per core]")
@click.option(
    "--engine",
    type=click.Choice(["auto", "stacked", "one_by_one"]),
    default="auto",
    show_default=True,
    help="Trainings as one program, or one by one.",
)
@click.option("--executor", default="processes", show_default=True, help=EXECUTOR)
@click.option("--shard", type=SHARD, help="Only part I of N; see: unyoke ledger merge.")
@click.option("--quick", is_flag=True, help="A small map; of digits in under 30 seconds.")
@click.option("--extend", is_flag=True, help="Add cells to the ledger of a smaller grid.")
@click.option("--accept-code", is_flag=True, help=ACCEPT)
@click.option("--cell-timeout", type=Positive(), help=TIMEOUT)
@click.option("--dry-run", is_flag=True, help="Say what would be trained, and how long.")
@click.option(
    "--refine",
    type=TRAININGS,
    metavar="[TRAININGS]",
    is_flag=False,
    flag_value="whole",
    help=REFINE,
)
def map_command(
    out: Path | None,
    workers: int | None,
    engine: str,
    executor: str,
    shard: ShardWord | None,
    quick: bool,
    extend: bool,
    accept_code: bool,
    cell_timeout: float | None,
    dry_run: bool,
    refine: RefineWord | None,
    **options: Any,
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
    from unyoke.study.report.report import check_folder
    from unyoke.study.running import driver
    from unyoke.study.running.progress import ProgressBar
    from unyoke.study.statistics import require_libraries

    require_libraries()
    rounds = None if refine is None else driver.Refine(refine.most)
    part = None if shard is None else driver.Shard(shard.index, shard.count)
    if part is not None and rounds is not None:
        raise Refusal("--refine needs the whole map, and --shard runs a part of it: give one")
    preset = defaults.quick(options["task"]) if quick else defaults.full(options["task"])
    given = {name: value for name, value in options.items() if value is not None}
    landscape = request.landscape(preset=preset, **given)
    folder = out or Path(preset.folder)
    check_folder(folder)
    most = worker_processes.available_cores() if landscape.task.device is None else 1
    processes = workers or most
    click.echo(f"{landscape.summary()}, {processes} processes, into {folder}")
    click.echo(landscape.decaying)
    if dry_run:
        click.echo(_estimated(landscape, folder, processes, part))
        return
    with going_on_later():
        count = driver.run(
            landscape,
            folder,
            ProgressBar(),
            workers=processes,
            extend=extend,
            accept_code=accept_code,
            engine=engine,
            refine=rounds,
            executor=executor,
            shard=part,
            cell_timeout=cell_timeout,
            warn=lambda text: click.echo(f"unyoke: {text}", err=True),
        )
    if rounds is not None:
        click.echo(driver.saved(folder))
    failures = _report(folder)
    if failures and count.done == count.diverged + count.failed:
        text, number = failures[0]
        raise Refusal(
            f"nothing is left to choose from: {count.failed} of {count.done} trainings failed, "
            f"{number} of them by {text[:300]}; mend the task and use another folder"
        )


def _estimated(landscape: Landscape, folder: Path, workers: int, part: Shard | None) -> str:
    from unyoke.study.claims import estimate

    cells = list(landscape.cells()) if part is None else part.cells(landscape)
    return estimate.described(estimate.of_map(landscape, folder, workers, cells), workers)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Draw the report of FOLDER's ledger anew, also while a run goes on."""
    _report(folder)


def _report(folder: Path) -> list[tuple[str, int]]:
    """Write it, say what it says, and return what tasks raised, with its numbers."""
    from unyoke.study.report.report import write_report

    written = write_report(folder)
    for line in written.lines:
        click.echo(line)
    click.echo(f"report: {written.page}")
    return written.failures


TRAINED = (
    click.option(
        "--scale", default="laptop", show_default=True, help="Or smoke, cpu-night, gpu, paper."
    ),
    click.option("--data", multiple=True, metavar="TASK=FOLDER", help="Where a task's files are."),
    click.option("--out", type=click.Path(path_type=Path), default="unyoke-claims", help=CLAIMS),
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


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@trained
@click.option("--tasks", type=TASKS, help="[default: the scale's]")
@click.option("--results", type=click.Path(path_type=Path), help="A Markdown page to publish.")
def claims(
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
    """Show ledgers, put them together, take them elsewhere."""


@ledger.command()
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


@ledger.command()
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


BENCH_FILES = ("bench.md", "bench.json", "bench.png")
"""What `unyoke bench` may write."""


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default="bench", show_default=True)
@click.option("--quick", is_flag=True, help="Small cases on one thread, in under a minute.")
@click.option("--threads", type=THREADS, default="1,2", show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True)
@click.option("--peers", type=click.Path(exists=True), help="A folder with other libraries.")
@click.option("--fsdp", is_flag=True, help="Only FSDP2's sharded parameters; prints a table.")
def bench(
    out: Path, quick: bool, threads: tuple[int, ...], rounds: int, peers: str | None, fsdp: bool
) -> None:
    """Time the step of AdamW: ours, torch's and other libraries', side by side."""
    from unyoke import bench as benchmark
    from unyoke.study import output_files

    if fsdp:
        click.echo(benchmark.measure_fsdp(rounds))
        return
    output_files.check(out, BENCH_FILES)
    settings = benchmark.Settings(quick, threads, rounds, peers)
    result = benchmark.run(settings, lambda line: click.echo(line, err=True))
    with output_files.written(out, BENCH_FILES) as drafts:
        names = [file.name for file in benchmark.write(result, drafts)]
    for name in names:
        click.echo(out / name)


@main.command("explain")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--updates", type=click.IntRange(1), help="The budget from here on.")
@click.option("--updates-per-epoch", type=Positive())
@click.option(
    "--schedule",
    type=click.Choice(["cosine", "linear", "constant"]),
    help="How the learning rate goes on over --updates.  [default: constant, and says so]",
)
def explain_command(
    file: Path, updates: int | None, updates_per_epoch: float | None, schedule: str | None
) -> None:
    """Tell what weight decay amounts to in a checkpoint of unyoke, torch, timm or Hugging Face."""
    from unyoke.explain_file import UnknownCheckpoint, explain_file

    try:
        click.echo(explain_file(file, updates, updates_per_epoch, schedule))
    except UnknownCheckpoint as error:
        raise Refusal(str(error)) from error


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def optimizers(names: tuple[str, ...]) -> None:
    """List the optimizers; of those that are named say also what goes with them, and the source.

    The number is that of the state's numbers for each weight.
    """
    from unyoke.optimizers import rows

    listed = [row for row in rows() if not names or row.name in names]
    unknown = set(names) - {row.name for row in listed}
    if unknown:
        raise Refusal(
            f"no optimizer is called {', '.join(sorted(unknown))}; see: unyoke optimizers"
        )
    if names:
        for row in listed:
            click.echo(f"{row.name}: {row.summary}")
            for word in ("direction", "decay", "state", "backends", "goes_with", "source"):
                value = getattr(row, word)
                shown = f"{value:.2g} per weight" if word == "state" else value
                click.echo(f"  {word.replace('_', ' '):10} {shown}")
        return
    cells = [(*row[:3], f"{row.state:.2g}", row.backends) for row in listed]
    columns = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row, own in zip(listed, cells, strict=True):
        parts = [cell.ljust(width) for cell, width in zip(own, columns, strict=True)]
        click.echo("  ".join((*parts, row.summary)))


@main.command()
def backends() -> None:
    """List the backends, each with what it lacks on this machine: every one is tried."""
    from unyoke.backends import tried

    for name, lacking, remark in tried():
        works = "ready" if remark is None else f"ready, but {remark}"
        click.echo(f"{name:8}{lacking or works}")


for _command in (tune_command, *TRANSFER_COMMANDS):
    main.add_command(_command)

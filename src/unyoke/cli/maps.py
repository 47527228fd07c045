"""`unyoke map` and `unyoke report`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unyoke.cli.common import (
    ACCEPT,
    DEVICE,
    EXECUTOR,
    SHARD,
    Command,
    Positive,
    Refusal,
    Word,
    going_on_later,
)

if TYPE_CHECKING:
    from unyoke.study.landscape.landscape import Landscape
    from unyoke.study.planning.defaults import Preset
    from unyoke.study.planning.words import RefineWord, ShardWord
    from unyoke.study.running.driver import Shard

LR = "Learning rates α, e.g. 2^-10:2^-2, or AdamW=2^-10:2^-2."
WEIGHT_DECAY = "Weight decays λ, e.g. 0,2^-10:2^-3."
OWN_SCHEDULE = "Names, or file.py:function."
CLIP = "The largest norm of a gradient, over all weights."
GROUPS = "split: biases, norms and embeddings do not decay.  [default: all]"
MATRICES = (
    "hidden: Muon and its like get hidden layers' matrices, Adam the rest; all: every matrix.  "
    "[default: hidden]"
)
TIMEOUT = "Seconds after which a training has failed, such as one that hangs."
EVALUATED = "Of each model, at most; 1 is fastest.  [default: 4 to 16]"
REFINE = "Train only what leads to the best cells; TRAININGS in all at most."

RATES = Word("AXIS", "axis", "learning rate")
DECAYS = Word("AXIS", "axis", "weight decay")
OPTIMIZERS = Word("NAME[(ARGUMENT=VALUE,…)],…", "names", "optimizer")
SCHEDULES = Word("NAME[(ARGUMENT=VALUE,…)],…", "names", "schedule")
UPDATES = Word("NUMBER,…", "counts", "updates")
EPOCHS = Word("NUMBER,…", "counts", "epochs")
BATCH_SIZES = Word("NUMBER,…", "counts", "batch size")
SEEDS = Word("NUMBER | SEED,…", "seeds")
EVALUATIONS = Word("NUMBER", "count", "evaluations")
TRAININGS = Word("TRAININGS", "refine")


@click.command("map", cls=Command)
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
@click.option("--matrices", type=click.Choice(["hidden", "all"]), default="hidden", help=MATRICES)
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
@click.option("--extend", is_flag=True, help="Add what is given to the map in the folder.")
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
    given = _given(options)
    size = defaults.quick if quick else defaults.full
    folder = out or Path(size(given.get("task", defaults.TASK)).folder)
    if extend:
        landscape = _extended(folder, size, given)
    else:
        preset = size(given.get("task", defaults.TASK))
        landscape = request.landscape(preset=preset, **given)
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


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that stand on the command line; the others have the defaults of a request."""
    source = click.get_current_context().get_parameter_source
    default = click.core.ParameterSource.DEFAULT
    return {name: value for name, value in options.items() if source(name) != default}


def _extended(folder: Path, size: Callable[[str], Preset], given: dict[str, Any]) -> Landscape:
    """The map of the ledger in a folder with what is given.

    Raises:
        Refusal: there is none. A slip in the folder's name would train another task from the start.
    """
    from unyoke.study.ledger.ledger import FILE_NAME, Ledger
    from unyoke.study.planning import extending

    if not (folder / FILE_NAME).exists():
        raise Refusal(
            f"{folder} holds no map to extend; name the folder of one with --out, or leave out "
            "--extend"
        )
    with Ledger.open_to_read(folder) as ledger:
        old = ledger.landscape
    return extending.extended(old, size(given.get("task", old.task.name)), given)


def _estimated(landscape: Landscape, folder: Path, workers: int, part: Shard | None) -> str:
    from unyoke.study.claims import estimate
    from unyoke.study.running import driver

    driver.try_here(landscape)
    cells = list(landscape.cells()) if part is None else part.cells(landscape)
    return estimate.described(estimate.of_map(landscape, folder, workers, cells), workers)


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path))
def report_command(folder: Path) -> None:
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

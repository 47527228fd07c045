"""Commands about the library itself: `unyoke bench`, `explain`, `optimizers`, `backends`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unyoke.cli.common import Positive, Refusal, Word

if TYPE_CHECKING:
    from unyoke.optimizers import Row

THREADS = Word("NUMBER,…", "counts", "threads")
BENCH_FILES = ("bench.md", "bench.json", "bench.png")
"""What `unyoke bench` may write."""


@click.command("bench")
@click.option("--out", type=click.Path(path_type=Path), default="bench", show_default=True)
@click.option("--quick", is_flag=True, help="Small cases on one thread, in under a minute.")
@click.option("--threads", type=THREADS, default="1,2", show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True)
@click.option("--peers", type=click.Path(exists=True), help="A folder with other libraries.")
@click.option("--fsdp", is_flag=True, help="Only FSDP2's sharded parameters; prints a table.")
def bench_command(
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


@click.command("explain")
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


@click.command("optimizers")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def optimizers_command(names: tuple[str, ...]) -> None:
    """List the optimizers; of those that are named say also what goes with them, and the source.

    The number is that of the state's numbers for each weight. my_file.py:X is a class of yours.
    """
    from unyoke.optimizers import rows

    of_files = [_of_a_file(name) for name in names if ":" in name]
    names = tuple(name for name in names if ":" not in name)
    listed = [*(row for row in rows() if row.name in names or not (names or of_files)), *of_files]
    unknown = set(names) - {row.name for row in listed}
    if unknown:
        raise Refusal(
            f"no optimizer is called {', '.join(sorted(unknown))}; see: unyoke optimizers"
        )
    if names or of_files:
        for row in listed:
            click.echo(f"{row.name}: {row.summary or 'without documentation'}")
            for word in ("direction", "decay", "state", "backends", "goes_with", "source"):
                value = getattr(row, word)
                shown = f"{value:.2g} per weight" if word == "state" else value or "none named"
                click.echo(f"  {word.replace('_', ' '):10} {shown}")
        return
    cells = [(*row[:3], f"{row.state:.2g}", row.backends) for row in listed]
    columns = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row, own in zip(listed, cells, strict=True):
        parts = [cell.ljust(width) for cell, width in zip(own, columns, strict=True)]
        click.echo("  ".join((*parts, row.summary)))


def _of_a_file(name: str) -> Row:
    """The row of an optimizer of a user's file, which is run."""
    from unyoke.study.landscape import calls, own_parts
    from unyoke.study.tasks import registry

    call = calls.parse(name)
    return own_parts.row(call, registry.load_own(registry.refer_own(call)))


@click.command("backends")
def backends_command() -> None:
    """List the backends, each with what it lacks on this machine: every one is tried."""
    from unyoke.backends import tried

    for name, lacking, remark in tried():
        works = "ready" if remark is None else f"ready, but {remark}"
        click.echo(f"{name:8}{lacking or works}")

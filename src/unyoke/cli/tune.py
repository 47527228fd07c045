"""`unyoke tune`: it parses, shows progress and prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unyoke.cli.common import ACCEPT, DEVICE, Positive, Refusal, going_on_later

if TYPE_CHECKING:
    from unyoke.study.landscape.landscape import Cell
    from unyoke.study.landscape.outcome import Outcome
    from unyoke.study.tuning.answer import Tuned


class Progress:
    """A `Watcher` that counts updates against a budget, with tqdm on standard error."""

    def __init__(self, budget: int | None, folder: Path) -> None:
        self._budget = budget
        self._folder = folder
        self._bar: Any = None
        self._lowest = float("inf")

    def begin(self, count: object) -> None:
        from tqdm import tqdm

        from unyoke.study.ledger.ledger import Ledger

        with Ledger.open_to_read(self._folder) as ledger:
            made = sum(record.cell.updates for record in ledger.records())
        self._bar = tqdm(
            total=self._budget, initial=made, unit="update", unit_scale=True, dynamic_ncols=True
        )

    def advance(self, cell: Cell, outcome: Outcome) -> None:
        from unyoke.study.wording import error_text

        if outcome.validation_error is not None and outcome.validation_error < self._lowest:
            self._lowest = outcome.validation_error
            error = error_text(self._lowest, outcome.error_unit)
            text = f"best so far {error} at lr {cell.lr:.3g}, Σηλ {cell.weight_decay:.3g}"
            self._bar.set_postfix_str(f"{text}, {cell.updates} updates", refresh=False)
        self._bar.update(cell.updates)

    def end(self) -> None:
        self._bar.close()


@click.command("tune")
@click.argument("task")
@click.option("--length", type=click.IntRange(1), help="Updates of the run.  [default: the task's]")
@click.option(
    "--updates", type=click.IntRange(1), help="Budget of all trainings. [default: 16 runs]"
)
@click.option("--minutes", type=Positive(), help="The budget as a time.")
@click.option("--optimizer", default="AdamW", show_default=True, help="Or SGDW, LionW.")
@click.option(
    "--schedule", type=click.Choice(["cosine", "constant", "step_drops"]), default="cosine"
)
@click.option("--lr", metavar="AXIS", help="Learning rates to search.  [default: AdamW 2^-14:2^-1]")
@click.option("--batch-size", type=click.IntRange(1), help="[default: the task's]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--data", help="Folder of the files that the task reads.")
@click.option("--device", help=DEVICE)
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: one per core]")
@click.option("--out", type=click.Path(path_type=Path), default="unyoke-tune", show_default=True)
@click.option("--accept-code", is_flag=True, help=ACCEPT)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def tune_command(task: str, as_json: bool, out: Path, **options: Any) -> None:
    """Find a learning rate and a weight decay for TASK, a name or file.py:function.

    Short trainings find where errors are low; each longer one begins where the best numbers should
    be by then, and what is left of the budget tries the answer at its own length. Ctrl-C keeps what
    is done; the same command goes on from there.
    """
    from unyoke.study.running import workers as worker_processes

    worker_processes.start_server()  # which imports torch while this process does
    from unyoke.study.report.report import check_folder, write_report
    from unyoke.study.statistics import require_libraries
    from unyoke.study.tuning import tuning

    require_libraries()
    check_folder(out)
    budget = options["updates"]
    if budget is None and options["minutes"] is None:
        grid = {name: options[name] for name in ("length", "optimizer", "data")}
        budget = tuning.RUNS * max(tuning.plan(task, **grid).updates)
    with going_on_later():
        found = tuning.tune(task, out=out, watcher=Progress(budget, out), **options)
    page = write_report(out).page
    if as_json:
        click.echo(
            json.dumps(found.as_json() | {"report": str(page)}, indent=1, ensure_ascii=False)
        )
        return
    click.echo(described(found))
    click.echo(f"picture and table: {page}")
    if not found.trained and found.updates < found.length:
        raise Refusal("the budget did not pay for one whole run; give more --updates or --minutes")


def described(found: Tuned) -> str:
    """The answer in words."""
    from unyoke.study.wording import error_text

    low, high = found.weight_decay_range
    lines = [
        f"for runs of {found.length:,} updates, by {found.trainings} trainings of "
        f"{found.updates:,} updates in all:",
        f"  lr            {found.lr:.4g}   as good: {found.lr_range[0]:.3g} … "
        f"{found.lr_range[1]:.3g}",
        f"  weight decay  {found.weight_decay:.4g}   as good: {low:.3g} … {high:.3g} per update",
        f"  torch's       {found.torch_weight_decay:.4g}",
        f"  total decay   {found.total_decay:.4g}",
    ]
    if found.validation_error is not None and found.test_error is not None:
        validation = error_text(found.validation_error, found.error_unit)
        test = error_text(found.test_error, found.error_unit)
        lines.append(f"  error there   validation {validation}, test {test}, one training")
    else:
        lines.append("  not trained at this length: carried over from shorter trainings")
    lines += [
        f"  best λ ∝ α^p·T^q: p = {found.p}, q = {found.q}",
        *(
            ["  a number lies at the end of what was searched: give --lr and another --out"]
            if found.on_an_edge
            else []
        ),
        "",
        *[f"{name + ':':<8}{code}" for name, code in found.code.items()],
    ]
    return "\n".join(lines)

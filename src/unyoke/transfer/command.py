"""`unyoke transfer` and `unyoke convert`: they parse and print."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from unyoke.timescales import LARGE
from unyoke.transfer.conventions import CONVENTIONS, convert, get
from unyoke.transfer.measured import read_maps
from unyoke.transfer.run import Run, TransferError
from unyoke.transfer.transferring import transfer

CONVENTION = f"Whose weight decay it is: {', '.join(CONVENTIONS)}."


@contextmanager
def one_line() -> Iterator[None]:
    """A mistake in the numbers is one line on the command line."""
    try:
        yield
    except TransferError as error:
        raise click.UsageError(str(error)) from error


SIZES = (
    ("batch-size", "Samples per update."),
    ("epochs", "Passes over the data."),
    ("samples", "Training samples in one pass."),
    ("updates", "Updates of the run, in the place of epochs and samples."),
    ("width", "Width of the layers, if it changes."),
    ("tokens", "Tokens seen in the run (language models)."),
    ("weights", "Weights of the model (language models)."),
)
"""Numbers that a run has; each has a --to- form too."""


def sized(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options `SIZES`, for the tuned run and the new one."""
    for name, text in reversed(SIZES):
        command = click.option(f"--to-{name}", type=float, help="The same of the new run.")(command)
        command = click.option(f"--{name}", type=float, help=text)(command)
    return command


@click.command("transfer")
@click.option("--lr", type=float, required=True, help="The tuned peak learning rate.")
@click.option("--weight-decay", type=float, required=True, help="The tuned weight decay.")
@click.option("--convention", default="unyoke", show_default=True, help=CONVENTION)
@sized
@click.option("--to-lr", type=float, help="The new learning rate, if it is decided already.")
@click.option("--lr-rule", help="sqrt, linear or same.  [default: sqrt; linear for sgdw]")
@click.option(
    "--schedule", default="cosine", show_default=True, help="Or linear, constant, step_drops."
)
@click.option("--to-schedule", help="Of the new run.  [default: the same]")
@click.option("--optimizer", default="adamw", show_default=True, help="Or sgdw, lion.")
@click.option("--beta1", type=float, default=0.9, show_default=True, help="Or SGD's momentum.")
@click.option(
    "--norms/--no-norms",
    default=None,
    help="Whether a normalization follows most weights: the rules differ.  [default: assumed, and "
    "said where the answer rests on it]",
)
@click.option(
    "--map",
    "maps",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="A map of the task; its p takes the rules' place where several seeds give it an interval "
    "below 1. A map of two budgets (unyoke map --updates 100,400), or the option twice, also gives "
    "q; with one budget q = p − 1 is assumed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def transfer_command(
    lr: float,
    weight_decay: float,
    convention: str,
    to_lr: float | None,
    lr_rule: str | None,
    to_schedule: str | None,
    norms: bool | None,
    maps: tuple[Path, ...],
    as_json: bool,
    **numbers: Any,
) -> None:
    """From a tuned run to another: learning rate and weight decay for it.

    Prints what every published rule says, what it amounts to in the new run, one recommendation
    with its reason, and code to paste. What has no --to- option stays as it is.
    """
    new = {name.removeprefix("to_"): value for name, value in numbers.items() if name[:3] == "to_"}
    own = {name: value for name, value in numbers.items() if name[:3] != "to_"}
    with one_line():
        name = "torch-sgd" if (convention, own["optimizer"]) == ("torch", "sgdw") else convention
        ours = convert(weight_decay, source=name, lr=lr, momentum=own["beta1"])
        tuned = Run(lr=lr, weight_decay=ours, **own)
        changes = {each: value for each, value in new.items() if value is not None}
        if to_schedule is not None:
            changes["schedule"] = to_schedule
        to = tuned.changed(**changes)
        measured = read_maps(maps, tuned.optimizer) if maps else None
        answer = transfer(tuned, to, lr=to_lr, lr_rule=lr_rule, norms=norms, measured=measured)
    if ours >= LARGE and not as_json:
        click.echo(
            f"note: a weight decay of {ours:g} per update takes {100 * ours:.2g} % of every weight "
            f"at each of them; if it was torch's number, give --convention torch\n",
            err=True,
        )
    click.echo(json.dumps(answer.as_json(), indent=1, ensure_ascii=False) if as_json else answer)


@click.command("convert")
@click.argument("weight_decay", type=float)
@click.option("--from", "source", required=True, metavar="NAME", help=CONVENTION)
@click.option("--to", default=None, metavar="NAME", help="[default: all]")
@click.option("--lr", type=float, help="The peak learning rate; most libraries multiply by it.")
@click.option("--to-lr", type=float, help="The learning rate there, if it is another.")
@click.option("--momentum", type=float, default=0.9, show_default=True, help="For torch-sgd.")
def convert_command(
    weight_decay: float,
    source: str,
    to: str | None,
    lr: float | None,
    to_lr: float | None,
    momentum: float,
) -> None:
    """A weight decay in the units of another library.

    \b
    unyoke convert 0.05 --from torch --lr 3e-4 --to unyoke
    unyoke convert 1.5e-5 --from unyoke --lr 3e-4 --to optax
    """
    with one_line():
        shared: dict[str, Any] = {"source": source, "lr": lr, "to_lr": to_lr, "momentum": momentum}
        # What cannot be read is said before anything is printed
        number = convert(weight_decay, to=to or "unyoke", **shared)
        if to:
            click.echo(f"{number:.6g}")
            return
        here = get(source)
        click.echo(f"{weight_decay:g} in {here.what}, with lr {lr if lr is not None else '?'}, is")
        for name, there in CONVENTIONS.items():
            if there.uses_lr and lr is None and to_lr is None:
                click.echo(f"  {name:<18}{'needs --lr':>12}  {there.what}")
                continue
            number = convert(weight_decay, to=name, **shared)
            steady = "" if there.exact and here.exact else " (in the steady state)"
            click.echo(f"  {name:<18}{number:>12.6g}  {there.what}{steady}")


COMMANDS = (transfer_command, convert_command)
"""What the command line adds."""

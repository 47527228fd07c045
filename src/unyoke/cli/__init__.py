"""The command line. It parses and prints; what it does lives elsewhere.

A new command is a function in a file here and a name in `COMMANDS`. Commands import what they need
when they run, so that `unyoke --help` needs nothing.
"""

from __future__ import annotations

import click

from unyoke.cli import library, maps
from unyoke.cli.claims import claims_command, figure_command
from unyoke.cli.common import Commands
from unyoke.cli.ledger import ledger_command
from unyoke.cli.tune import tune_command
from unyoke.transfer.command import COMMANDS as TRANSFER_COMMANDS

COMMANDS = (
    *(maps.map_command, maps.report_command, claims_command, figure_command, ledger_command),
    *(library.bench_command, library.explain_command),
    *(library.optimizers_command, library.backends_command),
    *(tune_command, *TRANSFER_COMMANDS),
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="unyoke", prog_name="unyoke")
def main() -> None:
    """Optimizers with decoupled weight decay, and maps of error over α × λ."""


for _command in COMMANDS:
    main.add_command(_command)

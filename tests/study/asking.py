"""Landscapes as the command line makes them."""

from __future__ import annotations

from unyoke.study.landscape.landscape import Landscape
from unyoke.study.planning import request


def asked(**words: object) -> Landscape:
    """The landscape that `unyoke map` makes of these options, each as it stands on the line."""
    from unyoke.cli.maps import map_command

    preset = words.pop("preset", None)
    line = []
    for name, value in words.items():
        for each in value if isinstance(value, list) else [value]:
            line += [f"--{name.replace('_', '-')}", str(each)]
    given = map_command.make_context("map", line).params
    return request.landscape(
        preset=preset,  # type: ignore[arg-type]
        **{name: given[name.replace("-", "_")] for name in words},
    )

"""What the report's page shows where no script runs: its pictures, and its tables as they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from unyoke.study.landscape.axes import raised

Namer = Callable[[str, Mapping[str, Any]], str]


class Table(NamedTuple):
    """A table of text.

    Attributes:
        name: what it is about, for those who hear the page.
        rows: each begins with its own name.
    """

    name: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


VERDICTS = ("", "test error", "on any test samples", "at α", "at λ", "with λ = 0")
COUPLING = (
    *("", "LR sensitivity", "one-at-a-time regret", "basin tilt"),
    *("p of λ* ∝ αᵖ", "so", "p of torch's λ/α", "best λ over α"),
)
COMPARISONS = ("", "difference", "on any test samples", "p (Holm)", "verdict", "could be seen")


def tables(data: Mapping[str, Any]) -> dict[str, Table]:
    """The tables of a page's data, of all settings at once, by the names of its sections."""
    panels: Sequence[Mapping[str, Any]] = data["panels"]
    named = _namer(data)
    maps = [panel for panel in panels if len(panel["weightDecay"]) > 1]
    return {
        "verdicts": Table("Verdicts", VERDICTS, [_verdict(panel, named) for panel in panels]),
        "coupling": Table("Coupling", COUPLING, [_coupling(panel, named) for panel in maps]),
        "comparisons": Table(
            "Comparisons",
            COMPARISONS,
            [
                (
                    named(f"{row['first']} − {row['second']}", row),
                    *(row[name] for name in ("difference", "anySamples", "probability")),
                    *(row[name] for name in ("verdict", "detectable")),
                )
                for row in data["comparisons"]
            ],
        ),
    }


def subject(data: Mapping[str, Any]) -> str:
    """The page's first sentence."""
    failed = f", {data['failed']} failed" if data["failed"] else ""
    settings = "; ".join(setting["text"] for setting in data["settings"])
    return (
        f"Task {data['task']}; {settings}; seeds: {data['seeds']}; {data['done']} of "
        f"{data['total']} trainings have run, {data['diverged']} diverged{failed}. "
        f"{data['decaying']}."
    )


def edges(data: Mapping[str, Any]) -> Iterable[str]:
    """Of each best cell on an edge of its grid, a sentence."""
    named = _namer(data)
    return [
        f"{named(panel['title'], panel)}: {'; '.join(panel['edges'])}."
        for panel in data["panels"]
        if panel["edges"]
    ]


def _namer(data: Mapping[str, Any]) -> Namer:
    """Writes the setting of a row behind its name, where there are several."""

    def named(name: str, row: Mapping[str, Any]) -> str:
        setting = data["settings"][row["setting"]]["text"]
        return f"{name}, {setting}" if len(data["settings"]) > 1 else name

    return named


def _verdict(panel: Mapping[str, Any], named: Namer) -> tuple[str, ...]:
    place = ("–", "–")
    if panel["best"] is not None:
        row, column = panel["best"]
        place = (raised(panel["lr"][column]), raised(panel["weightDecay"][row]))
    return (
        named(panel["title"], panel),
        *(panel["error"], panel["anySamples"], *place, panel["withoutDecay"]),
    )


def _coupling(panel: Mapping[str, Any], named: Namer) -> tuple[str, ...]:
    texts = {name: interval["text"] for name, interval in panel["intervals"].items()}
    return (
        named(panel["title"], panel),
        *(texts[name] for name in ("lrSensitivity", "regret", "tilt", "ridge")),
        *(panel[name] for name in ("upright", "torchRidge", "bestDecays")),
    )

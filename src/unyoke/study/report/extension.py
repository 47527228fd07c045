"""The command that goes on where a best cell lies on an edge of its grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from unyoke.study.landscape.landscape import Axes
from unyoke.study.landscape.optimizers import NOT_TORCHS, TORCHS, decay
from unyoke.study.planning.commands import FARTHEST, beyond, extend_command
from unyoke.study.report.findings import Finding
from unyoke.study.report.survey import Survey
from unyoke.study.statistics import Edge


def extension(survey: Survey, findings: list[Finding], folder: Path) -> str | None:
    """The command that extends every grid whose best cell lies on an edge; None if none does.

    It names the new values only. None also where all that could be added is a λ of 1 or more.
    """
    edges: dict[str, list[Edge]] = {}
    for finding in findings:
        inner = (edge for edge in finding.edges if edge.end != "flat")
        edges.setdefault(finding.panel.optimizer, []).extend(inner)
    old = survey.landscape
    larger = beyond(old, edges, farthest=FARTHEST)
    axes = {
        name: _sensible(decay(name, old.task.own), old.axes[name], more)
        for name, more in larger.axes.items()
    }
    if axes == old.axes:
        return None
    return extend_command(old, replace(larger, axes=axes), folder)


def _sensible(rule: str, old: Axes, more: Axes) -> Axes:
    """Without new λ of 1 and more, which would take the whole weight at an update."""
    is_other = rule in (*TORCHS, *NOT_TORCHS) or rule.startswith("l2")
    if is_other or more.decay_unit is not None:
        return more
    kept = tuple(wd for wd in more.weight_decay if wd < 1 or wd in old.weight_decay)
    return replace(more, weight_decay=kept)

"""What the claims are answered from: the ledgers of a task's studies, as maps.

A map that lacks a training raises `Incomplete`, so that its claims say what is missing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from unyoke.study.claims.plan import STUDIES, again
from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Cell, Landscape
from unyoke.study.landscape.outcome import CurvePoint
from unyoke.study.ledger.ledger import FILE_NAME, Ledger
from unyoke.study.report.samples import sample_errors, split_by_seed
from unyoke.study.report.survey import Array, Panel, Survey, survey
from unyoke.study.statistics import Edge, edges


class Incomplete(Exception):
    """What is missing for an answer, in words."""


@dataclass(frozen=True)
class StudyLedger:
    """One study's ledger, read.

    Attributes:
        by_other_code: whether the code that filled it is not the code that reads it.
    """

    folder: Path
    survey: Survey
    curves: Mapping[str, tuple[CurvePoint, ...]]
    by_other_code: bool


class Maps:
    """The maps of one task, by study.

    Attributes:
        missing: studies that cannot be read, each with why.
    """

    def __init__(
        self,
        sources: Mapping[str, StudyLedger],
        missing: Mapping[str, str],
        exact: Mapping[str, tuple[float, ...]],
    ) -> None:
        self.sources = sources
        self.missing = missing
        self._exact = exact

    @classmethod
    def read(
        cls,
        folders: Mapping[str, Path],
        plans: Mapping[str, Landscape],
        exact: Mapping[str, tuple[float, ...]],
    ) -> Self:
        """The maps in `folders`, of those ledgers that have at least what their plan has."""
        sources: dict[str, StudyLedger] = {}
        missing: dict[str, str] = {}
        for study, folder in folders.items():
            if not (folder / FILE_NAME).exists():
                missing[study] = f"the study {study} has not been run"
                continue
            try:
                sources[study] = _read(folder, plans[study], with_curves=STUDIES[study].curves)
            except (StudyError, sqlite3.Error, ValueError, TypeError, KeyError) as error:
                text = " ".join(str(error).split())
                missing[study] = f"the study {study} cannot be read: {text}"
        return cls(sources, missing, exact)

    def exact(self, name: str) -> tuple[float, ...]:
        """The recorded figures of an exact claim, one for each problem."""
        if name not in self._exact:
            raise Incomplete(f"the figures of {name} have not been computed")
        return self._exact[name]

    @property
    def unit(self) -> str:
        """Of the task's error."""
        return next((source.survey.error_unit for source in self.sources.values()), "")

    def landscape(self, study: str) -> Landscape:
        """The landscape of the study's ledger, extensions included."""
        return self._source(study).survey.landscape

    def panel(
        self,
        study: str,
        optimizer: str,
        *,
        schedule: str | None = None,
        updates: int | None = None,
        batch_size: int | None = None,
    ) -> Panel:
        """One whole map.

        Raises:
            Incomplete: trainings of it are missing.
        """
        source = self._source(study)
        for panel in source.survey.panels:
            wanted = (schedule, updates, batch_size)
            has = (panel.schedule, panel.updates, panel.batch_size)
            if panel.optimizer == optimizer and all(
                want in (None, here) for want, here in zip(wanted, has, strict=True)
            ):
                lacking = int((~panel.done).sum())
                if lacking:
                    raise Incomplete(
                        f"{lacking} of {panel.done.size} trainings of {optimizer}, "
                        f"{panel.setting}, in the study {study}"
                    )
                return panel
        raise Incomplete(f"the study {study} has no map of {optimizer}")

    def best(self, study: str, optimizer: str, *, schedule: str | None = None) -> Panel:
        """The best cells of a study's map, trained again with seeds that chose nothing.

        Raises:
            Incomplete: trainings of them are missing, or of the map that chooses.
        """
        self.panel(study, optimizer, schedule=schedule)
        return self.panel(again(study), optimizer, schedule=schedule)

    def trained_again(self, panel: Panel) -> Panel | None:
        """The best cells of a map, trained again; None where the task's plan has no such study.

        Raises:
            Incomplete: the plan has it, and trainings of it are missing.
        """
        for study, source in self.sources.items():
            if any(panel is each for each in source.survey.panels):
                name = again(study)
                if name in self.sources or name in self.missing:
                    return self.panel(name, panel.optimizer, schedule=panel.schedule)
        return None

    @property
    def split_by_seed(self) -> bool:
        """Whether each seed draws its own test samples, as far as that is known of the task."""
        landscapes = [source.survey.landscape for source in self.sources.values()]
        return bool(landscapes) and all(map(split_by_seed, landscapes))

    def sample_errors(self, panel: Panel, position: tuple[int, int]) -> Array | None:
        """The error of each test sample in one cell of a map, as the mean over its seeds.

        None where the ledger keeps no errors of single samples.
        """
        for source in self.sources.values():
            if any(panel is each for each in source.survey.panels):
                with Ledger.open_to_read(source.folder) as ledger:
                    landscape = source.survey.landscape
                    return sample_errors(ledger.sample_errors, landscape, panel, position)
        return None

    def curve(self, study: str, cell: Cell) -> tuple[CurvePoint, ...]:
        """The learning curve of a training that has run."""
        return self._source(study).curves[cell.key]

    def on_edge(self, study: str) -> list[str]:
        """The best cells of a study that lie on an edge of their grid, in words."""
        if study not in self.sources or STUDIES[study].of is not None:
            return []
        return [
            f"{panel.title}, {panel.setting}: {edge.axis.replace('_', ' ')} {edge.end}"
            for panel in self.sources[study].survey.panels
            if np.isfinite(panel.choice).any()
            for edge in inner_edges(panel)
        ]

    def _source(self, study: str) -> StudyLedger:
        if study in self.missing:
            raise Incomplete(self.missing[study])
        if study not in self.sources:
            raise Incomplete(f"the study {study} has not been run")
        return self.sources[study]


def inner_edges(panel: Panel) -> list[Edge]:
    """The ends of its grid at which the best cell lies, but for axes that have only one value."""
    return [
        edge
        for edge in edges(panel.choice, panel.axes.weight_decay)
        if len(getattr(panel.axes, edge.axis)) > 1
    ]


def _read(folder: Path, plan: Landscape, *, with_curves: bool) -> StudyLedger:
    with Ledger.open_to_read(folder) as ledger:
        landscape = ledger.landscape
        filler = landscape.task
        needed = replace(
            plan,
            # Whoever cannot go on with a ledger can still read it.
            task=replace(plan.task, digest=filler.digest, trainer=filler.trainer),
            # Every curve has the evaluation at the end, which is all that is needed without curves.
            evaluations=plan.evaluations if with_curves else landscape.evaluations,
        )
        if not needed.is_part_of(landscape):
            difference = landscape.difference(needed)
            raise StudyError(f"{ledger.path} is of another landscape ({difference})")
        records = list(ledger.records())
        curves = _curves(ledger, (record.cell for record in records)) if with_curves else {}
    by_other_code = filler.difference(plan.task) is not None
    return StudyLedger(folder, survey(landscape, records), curves, by_other_code)


def _curves(ledger: Ledger, cells: Iterable[Cell]) -> dict[str, tuple[CurvePoint, ...]]:
    return {cell.key: ledger.curve(cell) for cell in cells}

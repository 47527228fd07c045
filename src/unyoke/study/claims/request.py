"""What is to be tested: claims on tasks at a scale, and where the data of the tasks lie."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from unyoke.study.claims import catalogue, plan
from unyoke.study.claims.chosen import chosen
from unyoke.study.claims.claim import Claim
from unyoke.study.claims.plan import Scale, Size, Sizes
from unyoke.study.claims.verdicts import FEWEST
from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Landscape, TaskReference
from unyoke.study.ledger.ledger import FILE_NAME, Ledger
from unyoke.study.tasks import registry as known_tasks
from unyoke.study.tasks.built_in import BUILT_IN


@dataclass(frozen=True)
class Needed:
    """What must be trained.

    Attributes:
        landscapes: by task and study.
        missing: tasks whose data were not found, each with how to get them.
        recorded: of these tasks, the studies that have a ledger, which is read without the data.
    """

    landscapes: Mapping[tuple[str, str], Landscape]
    missing: Mapping[str, str] = field(default_factory=dict)
    recorded: Mapping[tuple[str, str], Landscape] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """Claims of tasks at a scale, in a folder.

    Attributes:
        tasks: empty for those of the scale.
        names: of claims or of rows; empty for those that the scale tests on each task.
        data: the folder with the files of a task, by the task's name.
        device: on which to train, as torch names it; None is the CPU.
    """

    out: Path
    scale: str
    tasks: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    device: str | None = None

    @property
    def size(self) -> Scale:
        """The scale.

        Raises:
            StudyError: there is no such scale.
        """
        if self.scale not in plan.SCALES:
            known = ", ".join(plan.SCALES)
            raise StudyError(f"unknown scale {self.scale!r}; known: {known}")
        return plan.SCALES[self.scale]

    @property
    def listed(self) -> tuple[str, ...]:
        """The tasks, each once."""
        return tuple(dict.fromkeys(self.tasks or self.size.tasks))

    def claims(self) -> dict[str, list[Claim]]:
        """The claims of each task; those about no task stand with the first.

        What is named for tasks that are named is tested, else what the scale's table has studies
        for.

        Raises:
            StudyError: a name is unknown, or nothing of it is tested on these tasks.
        """
        _check_names(self.names)
        tested = {
            task: self._tested(task, first=number == 0) for number, task in enumerate(self.listed)
        }
        found = {
            task: [
                row
                for row in rows
                if row.name in self.names or self.seeds_needed(task, row) is None
            ]
            for task, rows in tested.items()
        }
        if any(found.values()):
            return found
        what = (
            f"{', '.join(self.names)}: not tested on {', '.join(found)} at the scale {self.scale}"
        )
        aside = list(dict.fromkeys(row.name for rows in tested.values() for row in rows))
        if aside:
            raise StudyError(
                f"{what}, whose plan does not decide it; name the row itself: {', '.join(aside)}"
            )
        raise StudyError(f"{what}; name a task with --tasks")

    def _tested(self, task: str, first: bool) -> list[Claim]:
        """The rows of a task that the request names and the scale has studies for."""
        names = set(self.names)
        own = self.size.studies(task)
        studies = set(self.size.with_first(task) if self.tasks and names else own)
        return [
            row
            for row in catalogue.claims(task)
            if (row.studies or first)
            and studies.issuperset(row.studies)
            and (not names or names & {row.group, row.name})
        ]

    def seeds_needed(self, task: str, row: Claim) -> str | None:
        """How many seeds a row would need that is asked only where it is named; None if it is not.

        No reasonable number decides it, or the scale's plan has fewer than a verdict needs.
        """
        needed = self.size.set_aside.get(task, {}).get(row.name)
        if needed is not None:
            return f"{needed:,.0f}" if math.isfinite(needed) else "no number"
        planned = self.size.seeds(task, row.studies)
        if planned >= FEWEST or self.size.rehearses:
            return None
        return f"{FEWEST} at least; the plan has {planned:.0f}"

    def needed(self) -> Needed:
        """What must be trained for it, but for tasks whose data are not found.

        Where no claim is named, that is all of the scale's table, with what only figures show. Of
        what is named, only the optimizers that it is about, and of maps that are only compared
        with one of fewer seeds, no more seeds.

        Raises:
            StudyError: a task is unknown, or a folder that was named does not hold its data.
        """
        if not self.names:
            return self.studies({task: list(self.size.studies(task)) for task in self.listed})
        return self._planned(
            {task: self._sizes(task, rows) for task, rows in self.claims().items()}
        )

    def studies(self, wanted: Mapping[str, Sequence[str]]) -> Needed:
        """The landscapes of studies, by task, but for tasks whose data are not found.

        Raises:
            StudyError: a task is unknown, or a folder that was named does not hold its data.
        """
        return self._planned(
            {
                task: {study: self.size.size(task, study) for study in studies}
                for task, studies in wanted.items()
            }
        )

    def _sizes(self, task: str, rows: Sequence[Claim]) -> Sizes:
        """The studies of these rows, with as many seeds and optimizers as the rows need."""
        sizes: dict[str, Size] = {}
        for row in rows:
            own = {study: self.size.size(task, study) for study in self._answering(task, row)}
            for study, size in own.items():
                alike = [
                    other.seeds
                    for name, other in own.items()
                    if (plan.STUDIES[name].of is None) == (plan.STUDIES[study].of is None)
                ]
                fewest = min(alike)
                before = sizes.get(study, replace(size, seeds=0))
                wanted = {*row.optimizers, *before.optimizers}
                every = plan.STUDIES[study].optimizers
                sizes[study] = replace(
                    size,
                    seeds=max(fewest, before.seeds),
                    optimizers=tuple(name for name in every if name in wanted),
                )
        return sizes

    def _answering(self, task: str, row: Claim) -> tuple[str, ...]:
        """The studies of a row, with that which shows decay's gain, where the task has one."""
        gain = row.gain_from
        if gain is None or gain in row.studies or gain not in self.size.studies(task):
            return row.studies
        return (*row.studies, gain)

    def _planned(self, wanted: Mapping[str, Sizes]) -> Needed:
        references: dict[str, TaskReference] = {}
        landscapes: dict[tuple[str, str], Landscape] = {}
        missing: dict[str, str] = {}
        recorded: dict[tuple[str, str], Landscape] = {}
        for task, studies in wanted.items():
            networks = [plan.trained(task, study, self.size) for study in studies]
            try:
                for name in networks or [task]:
                    if name not in references:
                        found = known_tasks.refer(name, self.data.get(task))
                        references[name] = replace(found, device=self.device)
            except StudyError as error:
                if task in self.data or not _reads_data(name):
                    raise
                missing[task] = str(error)
                recorded |= self._recorded(task, studies)
                continue
            for (study, size), name in zip(studies.items(), networks, strict=True):
                planned = plan.landscape(study, references[name], size)
                landscapes[task, study] = self.on_best_cells(task, study, planned) or planned
        return Needed(landscapes, missing, recorded)

    def _recorded(self, task: str, studies: Sizes) -> dict[tuple[str, str], Landscape]:
        """The plans of those studies that have a ledger, which names the task as it was."""
        found = {}
        for study, size in studies.items():
            folder = self.folder(task, study)
            if not (folder / FILE_NAME).exists():
                continue
            try:
                with Ledger.open_to_read(folder) as ledger:
                    there = ledger.landscape
            except StudyError:
                continue  # as if there were none; its rows are incomplete
            planned = plan.landscape(study, there.task, size, there.batch_sizes)
            found[task, study] = self.on_best_cells(task, study, planned) or planned
        return found

    def on_best_cells(self, task: str, study: str, planned: Landscape) -> Landscape | None:
        """The plan on the cells that the maps choose of whose best cells it is.

        None where they cannot choose yet. The plan of any other study stays as it is.
        """
        of = plan.STUDIES[study].of
        return planned if of is None else chosen(planned, self.folder(task, of))

    def landscapes(self) -> Mapping[tuple[str, str], Landscape]:
        """What must be trained, by task and study."""
        return self.needed().landscapes

    def folder(self, task: str, study: str) -> Path:
        """Where a study's ledger lies."""
        return plan.folder(self.out, task, study)


def data_folders(texts: Sequence[str], tasks: Sequence[str]) -> dict[str, str]:
    """Folders by task from TASK=FOLDER, or from one FOLDER where one task reads data.

    Raises:
        StudyError: it cannot be told which task a folder is for.
    """
    reading = [task for task in tasks if _reads_data(task)]
    folders: dict[str, str] = {}
    for text in texts:
        task, separator, folder = text.partition("=")
        if not separator or task not in BUILT_IN:
            if len(reading) != 1:
                readers = ", ".join(reading) or "none of these tasks"
                raise StudyError(f"--data {text}: read by {readers}; write --data TASK=FOLDER")
            task, folder = reading[0], text
        if task not in reading:
            raise StudyError(
                f"--data {text}: the task {task} is not one of these or reads no data; those "
                f"that are and do: {', '.join(reading) or 'none'}"
            )
        if task in folders:
            raise StudyError(f"--data {text}: {task} already has {folders[task]}; give one folder")
        folders[task] = folder
    return folders


def _reads_data(task: str) -> bool:
    return task in BUILT_IN and BUILT_IN[task].source is not None


def _check_names(names: Sequence[str]) -> None:
    rows = catalogue.every_claim()
    known = {name for row in rows for name in (row.group, row.name)}
    for name in names:
        if name not in known:
            raise StudyError(f"unknown claim {name!r}; known: {', '.join(catalogue.names())}")

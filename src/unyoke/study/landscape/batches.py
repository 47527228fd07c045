"""Open cells in batches: the cells of one batch are trained together, by one worker at a time.

A batch is a trade. Larger ones train faster, as one population; smaller ones are recorded sooner,
lose less when a worker is killed, and leave no worker idle at the end of a run.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from unyoke.study.landscape.landscape import Cell

LARGEST = 128
"""Cells in a batch: beyond that, stacks of small networks gain nothing."""

SMALLEST = 32
"""Cells in the last batches: below that, stacks of small networks lose more than idle workers."""

ENOUGH = 48
"""Cells of one seed that are a batch, rather than to be joined by cells of another seed."""

FIRST = 12
"""Cells in the first batch of each worker, so that there is soon something to see."""

SECONDS = 20.0
"""How long a batch may take, were its cells trained one by one."""


def batches(
    cells: Sequence[Cell], workers: int, seconds_per_update: float | None = None
) -> list[tuple[Cell, ...]]:
    """All `cells`, each in one batch, in the order in which batches are to begin.

    A batch has one task, optimizer, batch size and number of updates. Those of the most updates
    come first; of these, the order of `cells` decides. Batches get smaller towards the end.

    Args:
        cells: in the ledger's order.
        workers: how many batches are trained at the same time.
        seconds_per_update: of one cell trained alone, where that is known; what takes long is
            divided into smaller batches.
    """
    groups = _groups(cells)
    # The longest first, then what the ledger has first; `begun` cells of a group are in batches.
    waiting = [(-group[0][1].updates, group[0][0], 0, group) for group in groups]
    heapq.heapify(waiting)
    result: list[tuple[Cell, ...]] = []
    left = len(cells)
    while waiting:
        updates, _, begun, group = heapq.heappop(waiting)
        rest = len(group) - begun
        wanted = FIRST if len(result) < workers else max(SMALLEST, left // (2 * workers))
        size = min(wanted, LARGEST, _affordable(group[0][1], seconds_per_update))
        if rest - size < min(size, SMALLEST) * 2 / 3:
            size = rest
        end = begun + size
        for other in range(begun + ENOUGH, end):
            if group[other][1].seed != group[other - 1][1].seed:
                end = other  # models that share their batches of samples train faster
                break
        result.append(tuple(cell for _, cell in group[begun:end]))
        if end < len(group):
            heapq.heappush(waiting, (updates, group[end][0], end, group))
        left -= end - begun
    return result


def _groups(cells: Sequence[Cell]) -> list[list[tuple[int, Cell]]]:
    """Cells that can share a stack to its end, each with its place in `cells`."""
    groups: dict[tuple[object, ...], list[tuple[int, Cell]]] = {}
    for place, cell in enumerate(cells):
        kind = (cell.task, cell.task_digest, cell.optimizer, cell.batch_size, cell.updates)
        groups.setdefault(kind, []).append((place, cell))
    return list(groups.values())


def _affordable(cell: Cell, seconds_per_update: float | None) -> int:
    """Cells that take `SECONDS` one by one, at least one."""
    if not seconds_per_update:
        return LARGEST
    return max(1, int(SECONDS / (seconds_per_update * cell.updates)))

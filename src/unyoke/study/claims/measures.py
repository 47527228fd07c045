"""The numbers that decide the claims about trainings: functions of whole maps, and of nothing else.

Choice is by validation error and report by test error, always. Every number is computed anew for
each draw of seeds, choices included (`unyoke.study.statistics.bootstrap`), so that its interval
covers the choice of the cells too. Seeds are paired, because the draws are the same for all maps.

Comparisons of two decay rules are shares of what decay itself gains. Cells with λ = 0 belong to
neither map there: they are the same trainings in both, and no difference can show in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unyoke.study import statistics
from unyoke.study.claims.claim import Measurement
from unyoke.study.claims.maps import Incomplete, Maps
from unyoke.study.landscape.axes import label
from unyoke.study.report.survey import Array, Panel
from unyoke.study.wording import error_text, number_text

Seeds = NDArray[np.intp]
Position = tuple[int, int]
Cells = Literal["all", "decayed", "plain"]
"""Which cells of a map take part: all, those with λ > 0, or those with λ = 0."""
BOTH: tuple[Cells, Cells] = ("plain", "decayed")


def measured(
    statistic: Callable[[Seeds], Array],
    panels: Sequence[Panel],
    maps: Maps,
    cells: Cells = "all",
) -> Measurement:
    """A statistic of seed positions [draws, seeds] with its interval, and what its maps chose.

    Of maps with more seeds than others only the first are used, which all have.
    """
    seeds = fewest_seeds(panels)
    return Measurement(
        statistics.bootstrap(statistic, seeds),
        seeds,
        sampling_error=0.0 if maps.split_by_seed else math.nan,
        sampling="drawn by the seed" if maps.split_by_seed else "unknown",
        details="; ".join(chosen_text(panel, maps.unit, cells) for panel in panels),
    )


def fewest_seeds(panels: Sequence[Panel]) -> int:
    """How many seeds all of these maps have."""
    return min(len(panel.done) for panel in panels)


def chosen_text(panel: Panel, unit: str, cells: Cells = "all") -> str:
    """The best cell of a map and its test error, in words."""
    best = chosen(panel, cells)
    if best is None:
        return f"{panel.title}: nothing finished"
    row, column = best
    error = error_text(float(panel.mean("test_error")[best]), unit)
    place = f"α = {label(panel.axes.lr[column])}, λ = {label(panel.axes.weight_decay[row])}"
    return f"{panel.title} ({panel.schedule}, {panel.updates} updates) {error} at {place}"


def chosen(panel: Panel, cells: Cells = "all") -> Position | None:
    """The best of these cells by mean validation error; None where none has one."""
    return statistics.best_cell(np.where(_rows(panel, cells)[:, None], panel.choice, np.nan))


def _rows(panel: Panel, cells: Cells) -> NDArray[np.bool_]:
    """The weight decays of these cells.

    Raises:
        Incomplete: the map has none.
    """
    decays = np.array(panel.axes.weight_decay)
    rows = {"all": decays >= 0, "decayed": decays > 0, "plain": decays == 0}[cells]
    if not rows.any():
        raise Incomplete(f"the map of {panel.title} has no cells {_WORDS[cells]}")
    return np.asarray(rows)


_WORDS = {"all": "at all", "decayed": "with λ > 0", "plain": "with λ = 0"}


def best_error(panel: Panel, seeds: Seeds, cells: Cells = "all") -> Array:
    """Test error of the cell of lowest validation error, for each draw."""
    return statistics.error_of_the_best(*_errors(panel, seeds, cells))


def _errors(panel: Panel, seeds: Seeds, cells: Cells) -> tuple[Array, Array]:
    """What chooses and what is reported, for each draw."""
    rows = _rows(panel, cells)
    choice, report = (
        panel.resampled(figure, seeds)[:, rows] for figure in ("validation_error", "test_error")
    )
    return choice, report


def advantage(first: Panel, second: Panel, maps: Maps) -> Measurement:
    """By which share of the second's error the first's best is below the second's best.

    (E_second − E_first)/E_second
    """

    def share(seeds: Seeds) -> Array:
        reference = best_error(second, seeds)
        return (reference - best_error(first, seeds)) / reference

    measurement = measured(share, (first, second), maps)
    return with_samples(measurement, _of_ratio((first, "all"), (second, "all")), maps)


def gain(panel: Panel, maps: Maps) -> Measurement:
    """`gain_of_decay` of one map."""
    measurement = measured(lambda seeds: gain_of_decay(panel, seeds), (panel,), maps, "decayed")
    return with_samples(measurement, _of_ratio((panel, "decayed"), (panel, "plain")), maps)


def gain_of_decay(panel: Panel, seeds: Seeds) -> Array:
    """By which share the best error with decay is below the best without."""
    plain = best_error(panel, seeds, "plain")
    return (plain - best_error(panel, seeds, "decayed")) / plain


def show_gain(panels: Sequence[Panel], maps: Maps) -> list[Panel]:
    """The trainings that show what decay gains in these maps.

    Their best cells, trained again with seeds that chose nothing, where the task has them: known
    from more seeds, and free of the luck of the best of a hundred cells. Else the maps themselves.
    """
    found = [maps.trained_again(panel) for panel in panels]
    fresh = [panel for panel in found if panel is not None]
    return fresh if len(fresh) == len(panels) else list(panels)


def mean_gain(panels: Sequence[Panel]) -> statistics.Interval:
    """The gain of decay, as the mean over these maps."""

    def gain(seeds: Seeds) -> Array:
        return np.asarray(np.mean([gain_of_decay(panel, seeds) for panel in panels], axis=0))

    return statistics.bootstrap(gain, fewest_seeds(panels))


def share_of_gain(
    difference: Callable[[Seeds], Array], panels: tuple[Panel, Panel], maps: Maps
) -> Measurement:
    """A difference of two decay rules' errors, as a share of what decay gains.

        N/G ;  G = E_plain − (E_first + E_second)/2, best errors without decay and with

    E_plain is the mean over both maps, whose trainings without decay are the same but for rounding.
    Both are divided by E_plain first, so that G reads as the gain of `gain_of_decay`. Where the
    best cells have been trained again (`show_gain`), G is from these, and N from the maps alone.
    """

    def share(seeds: Seeds) -> Array:
        plain = np.mean([best_error(panel, seeds, "plain") for panel in panels], axis=0)
        return np.asarray(difference(seeds) / plain)

    def parts(seeds: Seeds) -> tuple[Array, Array]:
        return share(seeds), _joint_gain(panels, seeds)

    fresh = show_gain(panels, maps)
    if all(one is other for one, other in zip(fresh, panels, strict=True)):
        return _as_share(statistics.bootstrap_ratio(parts, fewest_seeds(panels)), panels, maps)
    above = statistics.bootstrap(share, fewest_seeds(panels))
    below = statistics.bootstrap(lambda seeds: _joint_gain(fresh, seeds), fewest_seeds(fresh))
    fewest = min(fewest_seeds(panels), fewest_seeds(fresh))
    return _as_share(statistics.Ratio(above, below, 0.0, fewest), panels, maps)


def _joint_gain(panels: Sequence[Panel], seeds: Seeds) -> Array:
    """What decay gains over both maps, as a share of the error without."""
    plain, decayed = (
        np.mean([best_error(panel, seeds, cells) for panel in panels], axis=0) for cells in BOTH
    )
    return np.asarray((plain - decayed) / plain)


def _as_share(ratio: statistics.Ratio, panels: tuple[Panel, Panel], maps: Maps) -> Measurement:
    seeds = fewest_seeds(panels)
    texts = [chosen_text(panel, maps.unit, "decayed") for panel in panels]
    texts.append(f"the difference is {_per_cent(ratio.above)} of the error without decay")
    return Measurement(
        ratio.interval(),
        seeds,
        sampling_error=0.0 if maps.split_by_seed else math.nan,
        sampling="drawn by the seed" if maps.split_by_seed else "unknown",
        details="; ".join(texts),
        gain=ratio.below,
        ratio=ratio,
    )


def _per_cent(interval: statistics.Interval) -> str:
    return f"{number_text(interval, scale=100.0, digits=1)} %"


def rule_advantage(first: Panel, second: Panel, maps: Maps) -> Measurement:
    """How far the best error of one decay rule is below another's, as a share of decay's gain.

    (E_second − E_first)/G
    """

    def difference(seeds: Seeds) -> Array:
        return best_error(second, seeds, "decayed") - best_error(first, seeds, "decayed")

    measurement = share_of_gain(difference, (first, second), maps)
    if measurement.ratio is None or not measurement.ratio.below.value > 0:
        return measurement
    share = measurement.number.value
    everyone = np.arange(measurement.samples)[None, :]
    plain = (best_error(first, everyone, "plain") + best_error(second, everyone, "plain")) / 2
    gained = measurement.ratio.below.value * float(plain[0])
    terms = [
        Term((share / 2 - 1) / gained, first, chosen(first, "decayed")),
        Term((share / 2 + 1) / gained, second, chosen(second, "decayed")),
        Term(-share / gained, first, chosen(first, "plain")),  # the same training as the second's
    ]
    return with_samples(measurement, terms, maps)


def equal_gains(first: Panel, second: Panel, maps: Maps) -> Measurement:
    """By how much decay gains more in the first map than in the second, over the mean of both."""

    def parts(seeds: Seeds) -> tuple[Array, Array]:
        one, other = gain_of_decay(first, seeds), gain_of_decay(second, seeds)
        return one - other, (one + other) / 2

    seeds = fewest_seeds((first, second))
    return _as_share(statistics.bootstrap_ratio(parts, seeds), (first, second), maps)


def regret_saved(decoupled: Panel, coupled: Panel, maps: Maps) -> Measurement:
    """One-at-a-time regret of the coupled map less that of the decoupled, over decay's gain.

    (regret_coupled − regret_decoupled)/G
    """

    def saved(seeds: Seeds) -> Array:
        return _regret(coupled, seeds) - _regret(decoupled, seeds)

    return share_of_gain(saved, (decoupled, coupled), maps)


def _regret(panel: Panel, seeds: Seeds) -> Array:
    return statistics.one_at_a_time_regret(*_errors(panel, seeds, "decayed"))


LEVELS = 8
"""Bins of training loss in which two optimizers are compared."""


def at_equal_training_loss(first: Panel, second: Panel, maps: Maps) -> Measurement:
    """How far the first's error is below the second's where both fit the data as well.

    The range of log training loss that both maps reach with λ > 0 is cut into `LEVELS` equal
    parts. In each, the cell of lowest validation error is chosen from either map; the mean of
    E_second − E_first over those parts in which both have a cell, over decay's gain.
    """
    losses = [
        np.where(
            _rows(panel, "decayed")[:, None],
            np.log(np.maximum(panel.mean("train_loss"), 1e-12)),
            np.nan,
        )
        for panel in (first, second)
    ]
    low = max(np.nanmin(loss) for loss in losses)
    high = min(np.nanmax(loss) for loss in losses)
    ends = np.linspace(low, high, LEVELS + 1)

    def difference(seeds: Seeds) -> Array:
        found = []
        for start, stop in pairwise(ends):
            errors = [
                _best_within(panel, (loss >= start) & (loss <= stop), seeds)
                for panel, loss in zip((first, second), losses, strict=True)
            ]
            found.append(errors[1] - errors[0])
        stacked = np.stack(found)
        known = np.isfinite(stacked)
        total = np.where(known, stacked, 0.0).sum(axis=0)
        return np.asarray(
            np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
        )

    return share_of_gain(difference, (first, second), maps)


def _best_within(panel: Panel, cells: NDArray[np.bool_], seeds: Seeds) -> Array:
    choice = np.where(cells, panel.resampled("validation_error", seeds), np.nan)
    return statistics.error_of_the_best(choice, panel.resampled("test_error", seeds))


class Term(NamedTuple):
    """A cell's mean test error in a number, and how much the number changes with it."""

    weight: float
    panel: Panel
    cell: Position | None


def _of_ratio(first: tuple[Panel, Cells], second: tuple[Panel, Cells]) -> list[Term]:
    """The terms of (E_second − E_first)/E_second, each the best of its cells."""
    (one, its), (other, cells) = first, second
    cell, reference = chosen(one, its), chosen(other, cells)
    if cell is None or reference is None:
        return [Term(math.nan, one, cell)]
    low, high = (
        float(panel.mean("test_error")[at]) for panel, at in ((one, cell), (other, reference))
    )
    return [Term(-1 / high, one, cell), Term(low / high**2, other, reference)]


def with_samples(measurement: Measurement, terms: Sequence[Term], maps: Maps) -> Measurement:
    """The measurement with how far other test samples would move it.

    From the errors of single samples, which all cells share: Σ w·e over the cells of each sample,
    whose mean has the standard error wanted. Where a ledger has none, from each cell's own
    standard error, as if the cells were tested on different samples. A task whose seeds draw the
    test samples has them in its interval over seeds already.
    """
    if measurement.sampling == "drawn by the seed":
        return measurement
    if any(term.cell is None for term in terms):
        return measurement
    errors = [maps.sample_errors(term.panel, term.cell) for term in terms if term.cell]
    together = [each for each in errors if each is not None]
    if len(together) == len(terms):
        moved = sum(term.weight * each for term, each in zip(terms, together, strict=True))
        assert isinstance(moved, np.ndarray)
        error = float(moved.std(ddof=1) / math.sqrt(len(moved)))
        return replace(measurement, sampling_error=error, sampling="paired")
    parts = [
        term.weight * float(term.panel.mean("test_standard_error")[term.cell])
        for term in terms
        if term.cell
    ]
    return replace(measurement, sampling_error=math.hypot(*parts), sampling="bound")

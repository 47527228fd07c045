"""How often intervals over seeds hold what they should: made-up studies of a known basin.

    python benchmarks/interval_coverage.py [studies] [PART ...]

PARTs are one-map, best-cells, two-maps, again and samples; all where none is named.

Each study is a quadratic basin of tilt −0.6 on 9 × 9 cells, with noise over seeds in whole seeds,
in cells, and in the validation and the test samples. Every statistic is computed with three kinds
of nominal 95 % interval: ours (Student's quantile times the bootstrap's standard error), and the
percentile and BCa intervals of `scipy.stats.bootstrap`. A statistic's truth is its value on the
basin without noise; choosing by noisy errors biases some statistics, and the mean estimate tells.

Then two things that the report says of best cells, each chosen by its validation error: how often
Student's interval of the test error there holds the best error, and how often two equal basins with
the same seeds are called different at the 5 % level by the paired comparison.

Then the numbers of the claims that compare maps, by the functions of the claims themselves: how
often their intervals hold the truth, and which verdict comes out how often, at truths in the middle
of each class and at the border. The maps of a study share what a seed does, and the two of a pair
their cells without decay. Then the same of rows whose best cells are chosen on maps of a few seeds
and trained again with others; the truth is the difference of the best errors, not of the cells that
were chosen. Last, what a test set that all seeds share does to such an interval, and
what the errors of single samples mend.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from unyoke.study.claims import catalogue, measures, ridges
from unyoke.study.claims.claim import Claim, Measurement
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.verdicts import judge
from unyoke.study.landscape.landscape import Axes
from unyoke.study.report.survey import Panel
from unyoke.study.statistics import (
    best_cell,
    bootstrap,
    error_of_the_best,
    lr_sensitivity,
    mean_interval,
    one_at_a_time_regret,
    paired_difference,
    ridge,
    sensitivity,
    tilt,
)

Array = NDArray[np.float64]
Errors = tuple[Array, Array]  # validation and test errors, [..., weight decays, learning rates]

LR = DECAY = 2.0 ** np.arange(-4, 5)
TILT = -0.6

STATISTICS: dict[str, Callable[[Array, Array], Array]] = {
    "error of one cell": lambda choice, report: report[..., 4, 4],
    "error of the best": error_of_the_best,
    "basin tilt": lambda choice, report: tilt(LR, DECAY, choice),
    "ridge": lambda choice, report: ridge(LR, DECAY, choice),
    "one-at-a-time regret": one_at_a_time_regret,
    "LR sensitivity": lr_sensitivity,
    "α off by 2, λ kept": lambda c, r: sensitivity(LR, c, r, 2).decay_kept,
    "α off by 2, λ tuned": lambda c, r: sensitivity(LR, c, r, 2).decay_retuned,
}


def basin() -> Array:
    """Expected errors: best 8 %, and 0.4 points more one power of two off the valley."""
    a, l = np.log2(LR)[None, :], np.log2(DECAY)[:, None]  # noqa: E741
    return np.asarray(0.08 + 0.004 * ((l - TILT * a) ** 2 + 0.5 * a**2))


def study(generator: np.random.Generator, seeds: int, shared: Array | None = None) -> Errors:
    """Validation and test errors of each seed; `shared` is what a seed does to every cell."""

    def noise(spread: float, *shape: int) -> Array:
        return generator.normal(0, spread, (seeds, *shape))

    network = basin() + (noise(0.006, 1, 1) if shared is None else shared) + noise(0.006, 9, 9)
    return network + noise(0.004, 9, 9), network + noise(0.003, 9, 9)


def intervals(
    statistic: Callable[[Array, Array], Array], maps: Errors
) -> list[tuple[float, float]]:
    """The three intervals of one statistic over the seeds of one study."""
    choice, report = maps

    def of(seeds: NDArray[np.intp], axis: int = -1) -> Array:
        return statistic(choice[seeds].mean(axis=axis - 2), report[seeds].mean(axis=axis - 2))

    ours = bootstrap(of, len(choice))
    found = [(ours.low, ours.high)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # BCa of a degenerate distribution
        for method in ("percentile", "BCa"):
            result = stats.bootstrap(
                (np.arange(len(choice)),),
                of,
                vectorized=True,
                n_resamples=999,
                method=method,
                rng=np.random.default_rng(0),
            )
            found.append(tuple(map(float, result.confidence_interval)))
    return found


def at_the_best(maps: Errors) -> Array:
    """Test errors of each seed at the cell of the lowest mean validation error."""
    cell = best_cell(maps[0].mean(axis=0))
    assert cell is not None
    return np.asarray(maps[1][(slice(None), *cell)])


def best_cells(studies: int) -> None:
    """Print how intervals and comparisons at chosen cells keep what they say."""
    print("\nseeds  Student's interval at the chosen cell  equal basins called different")
    for seeds in (3, 5, 10, 20):
        generator = np.random.default_rng(2)
        held, different = 0, 0
        for _ in range(studies):
            shared = generator.normal(0, 0.006, (seeds, 1, 1))
            first, second = (at_the_best(study(generator, seeds, shared)) for _ in range(2))
            interval = mean_interval(first)
            held += interval.low <= basin().min() <= interval.high
            different += paired_difference(first, second).p_value < 0.05
        print(f"{seeds:5}  {100 * held / studies:36.1f} %  {100 * different / studies:26.1f} %")


@dataclass(frozen=True)
class Basin:
    """The expected errors of one map over α = 2^−4 … 2^4 and λ = 2^−6 … 2^5, and λ = 0.

    Attributes:
        gain: what the best λ takes from the plain error of 8 %, in per cent of it.
        slope: d log λ*/d log α.
        at: log2 of the best λ at α = 1.
    """

    gain: float = 20.0
    slope: float = 0.0
    at: float = 0.0

    def errors(self) -> Array:
        """[13 weight decays, 9 learning rates]; all gain is lost four powers off the ridge."""
        a, l = np.log2(LR)[None, :], np.log2(DECAYS)[:, None]  # noqa: E741
        off = np.minimum(((l - self.at - self.slope * a) / 4) ** 2, 1.2)
        lost = np.vstack([np.ones((1, len(LR))), off])
        return np.asarray(PLAIN * (1 + self.gain / 100 * (lost - 1)) + 0.002 * a**2)


PLAIN = 0.08
DECAYS = 2.0 ** np.arange(-6, 6)


def panels(
    generator: np.random.Generator, seeds: int, basins: Sequence[Basin], *, pair: bool = True
) -> list[Panel]:
    """Maps of the same seeds; those of a pair have the same cells without decay."""
    shape = (seeds, 1 + len(DECAYS), len(LR))
    whole = generator.normal(0, 0.004, (seeds, 1, 1))
    drawn: list[Panel] = []
    for basin in basins:
        network = basin.errors() + whole + generator.normal(0, 0.004, shape)
        figures = {
            "validation_error": network + generator.normal(0, 0.003, shape),
            "test_error": network + generator.normal(0, 0.003, shape),
            "train_loss": np.broadcast_to(LR[None, None, :], shape).copy(),
            "test_standard_error": np.full(shape, 0.003),
        }
        if pair and drawn:
            for name, values in figures.items():
                values[:, 0] = drawn[0].figures[name][:, 0]
        nothing = np.zeros(shape, dtype=bool)
        axes = Axes(tuple(LR.tolist()), (0.0, *DECAYS.tolist()))
        drawn.append(Panel("AdamW", "cosine", 150, None, axes, figures, nothing, ~nothing))
    return drawn


def budgets(generator: np.random.Generator, seeds: int, p: float, q: float) -> list[Panel]:
    """Maps of four budgets on which λ* ∝ α^p·updates^q."""
    updates = (75, 150, 300, 600)
    moved = [Basin(slope=p, at=q * np.log2(each / 212.0)) for each in updates]
    drawn = panels(generator, seeds, moved, pair=False)
    return [replace(panel, updates=each) for panel, each in zip(drawn, updates, strict=True)]


NO_MAPS = Maps({}, {}, {})
Draw = Callable[[np.random.Generator, int], list[Panel]]


@dataclass(frozen=True)
class Case:
    """A claim, what its number is in truth, and maps of which that is true."""

    row: str
    truth: float
    draw: Draw
    measure: Callable[[list[Panel]], Measurement]

    def one(self, generator: np.random.Generator, seeds: int) -> tuple[bool, float, str]:
        """Whether the interval of one study holds the truth, the number, and the verdict."""
        measurement = self.measure(self.draw(generator, seeds))
        claim = replace(_claims()[self.row], measure=lambda maps: measurement)
        (answer,) = judge([("", claim, NO_MAPS)])
        number = measurement.number
        return number.low <= self.truth <= number.high, number.value, answer.verdict


def _claims() -> dict[str, Claim]:
    return {claim.name: claim for claim in catalogue.every_claim()}


def cases() -> list[Case]:
    """Each kind of claim that compares maps, at truths inside each class and at its border."""

    def pair(first: Basin, second: Basin) -> Draw:
        return lambda generator, seeds: panels(generator, seeds, (first, second))

    def both(statistic: Callable[[Panel, Panel, Maps], Measurement]) -> Callable[..., Measurement]:
        return lambda maps: statistic(maps[0], maps[1], NO_MAPS)

    found = []
    for share in (1.0, 0.5, 0.2, 0.0, -0.5):
        decoupled, coupled = 20 * (1 + share / 2), 20 * (1 - share / 2)
        draw = pair(Basin(decoupled), Basin(coupled))
        found.append(Case("generalisation/adam", share, draw, both(measures.rule_advantage)))
    for gain in (0.0, 2.0):
        draw = pair(Basin(gain), Basin(gain))
        found.append(Case("generalisation/adam", 0.0, draw, both(measures.rule_advantage)))
    for gains in ((20.0, 20.0), (25.0, 15.0)):
        share = 2 * (gains[0] - gains[1]) / sum(gains)
        draw = pair(*map(Basin, gains))
        found.append(Case("gain/equal", share, draw, both(measures.equal_gains)))
    draw = pair(Basin(slope=0.0), Basin(slope=0.0))
    found.append(Case("coupling/sgd-regret", 0.0, draw, both(measures.regret_saved)))
    for slopes in ((0.0, -1.0), (0.0, -0.25), (0.0, 0.0), (0.6, -0.4)):
        draw = pair(Basin(slope=slopes[0]), Basin(slope=slopes[1]))
        truth = abs(slopes[1]) - abs(slopes[0])
        found.append(Case("coupling/sgd-tilt", truth, draw, both(ridges.leans_more)))
    for slope in (0.0, 0.5, 1.0):
        found.append(
            Case(
                "coupling/sgdw-upright",
                slope,
                pair(Basin(slope=slope), Basin()),
                lambda maps: ridges.ridge_of(maps[0], NO_MAPS),
            )
        )
    for p, q in ((0.0, -1.0), (0.5, -0.5), (0.0, 0.0), (0.0, -0.5)):

        def drawn(
            generator: np.random.Generator, seeds: int, p: float = p, q: float = q
        ) -> list[Panel]:
            return budgets(generator, seeds, p, q)

        found.append(Case("law/sgdw", p - q, drawn, lambda maps: ridges.law(maps, NO_MAPS)))
        found.append(
            Case(
                "budgets/sgdw-norm",
                q,
                drawn,
                lambda maps: ridges.exponent(maps, NO_MAPS),
            )
        )
    return found


def two_maps(studies: int) -> None:
    """Print coverage and verdicts of claims that compare maps."""
    _print_verdicts(studies, cases(), (5, 10, 20))


def _print_verdicts(studies: int, wanted: Sequence[Case], counts: Sequence[int]) -> None:
    print("\nseeds  claim                            truth  mean est.  interval holds it  verdicts")
    for seeds in counts:
        for case in wanted:
            generator = np.random.default_rng(3)
            drawn = [case.one(generator, seeds) for _ in range(studies)]
            held = sum(holds for holds, *_ in drawn)
            mean = np.nanmean([value for _, value, _ in drawn])
            counts = Counter(verdict for *_, verdict in drawn)
            verdicts = ", ".join(
                f"{name} {100 * count / studies:.0f}" for name, count in counts.most_common()
            )
            print(
                f"{seeds:5}  {case.row:31} {case.truth:6.2f}  {mean:9.2f}  "
                f"{100 * held / studies:15.1f} %  {verdicts}",
                flush=True,
            )


CHOOSERS = 6
"""Seeds of the maps that choose the cells that are trained again."""


class Again(Maps):
    """The first maps of a study, with the best cells of each trained again."""

    def __init__(self, maps: Sequence[Panel], again: Sequence[Panel]) -> None:
        super().__init__({}, {}, {})
        self.pairs = list(zip(maps, again, strict=True))

    def trained_again(self, panel: Panel) -> Panel | None:
        return next((again for one, again in self.pairs if one is panel), None)


def trained_again(
    generator: np.random.Generator, seeds: int, basins: Sequence[Basin], *, pair: bool = True
) -> tuple[list[Panel], list[Panel]]:
    """Maps of `CHOOSERS` seeds, and the best cells of each, with decay and without, again."""
    choosers = panels(generator, CHOOSERS, basins, pair=pair)
    drawn = panels(generator, seeds, basins, pair=pair)
    return choosers, [_only(_best(one), again) for one, again in zip(choosers, drawn, strict=True)]


def _best(panel: Panel) -> list[tuple[int, int]]:
    decays = np.array(panel.axes.weight_decay)
    found = []
    for rows in (decays == 0, decays > 0):
        cell = best_cell(np.where(rows[:, None], panel.choice, np.nan))
        assert cell is not None
        found.append(cell)
    return found


def _only(cells: Sequence[tuple[int, int]], panel: Panel) -> Panel:
    """The smallest grid that holds these cells."""
    rows, columns = (sorted({cell[axis] for cell in cells}) for axis in (0, 1))
    at = (slice(None), *np.ix_(rows, columns))
    axes = Axes(
        tuple(panel.axes.lr[column] for column in columns),
        tuple(panel.axes.weight_decay[row] for row in rows),
    )
    figures = {name: values[at] for name, values in panel.figures.items()}
    return replace(
        panel, axes=axes, figures=figures, diverged=panel.diverged[at], done=panel.done[at]
    )


def cases_again() -> list[Case]:
    """Rows of best cells trained again, and one whose gain alone is from them."""
    found = []

    def pair(
        row: str,
        truth: float,
        basins: tuple[Basin, Basin],
        statistic: Callable[[Panel, Panel, Maps], Measurement],
        *,
        alike: bool = True,
    ) -> None:
        def draw(generator: np.random.Generator, seeds: int) -> list[Panel]:
            return trained_again(generator, seeds, basins, pair=alike)[1]

        found.append(Case(row, truth, draw, lambda maps: statistic(*maps, NO_MAPS)))

    # The best error with a gain of 20 % is 80 % of the plain one, and a share of it 80 times that.
    for row, shares in (
        ("schedules/adamw-cosine-constant", (0.15, 0.08, 0.05, 0.02, 0.0, -0.05)),
        ("restarts/adamw-final", (0.0, -0.02, -0.05, -0.1)),
    ):
        for share in shares:
            basins = Basin(20 + 80 * share), Basin(20)
            pair(row, share, basins, measures.advantage, alike=False)
    for share in (1.0, 0.5, 0.2, 0.0, -0.5):
        basins = Basin(20 * (1 + share / 2)), Basin(20 * (1 - share / 2))
        pair("generalisation/adam", share, basins, measures.rule_advantage)
    for gain in (15.0, 5.0, 2.0, 0.0):
        pair("gain/adamw", gain / 100, (Basin(gain), Basin(gain)), lambda one, _, __: _gain(one))
    pair("gain/equal", 0.0, (Basin(20), Basin(20)), measures.equal_gains)

    def regrets(gain: float) -> Case:
        def draw(generator: np.random.Generator, seeds: int) -> list[Panel]:
            maps, again = trained_again(generator, seeds, (Basin(gain), Basin(gain)))
            return [*maps, *again]

        def measure(drawn: list[Panel]) -> Measurement:
            return measures.regret_saved(drawn[0], drawn[1], Again(drawn[:2], drawn[2:]))

        return Case("coupling/sgd-regret", 0.0, draw, measure)

    return [*found, regrets(20.0), regrets(0.0)]


def _gain(panel: Panel) -> Measurement:
    return measures.gain(panel, NO_MAPS)


def again(studies: int) -> None:
    """Print coverage and verdicts of rows whose best cells are trained again."""
    _print_verdicts(studies, cases_again(), (60, 300))


class Sampled(Maps):
    """Maps of one test set for all seeds, whose samples are easier or harder for all networks."""

    def __init__(self, first: Panel, second: Panel, generator: np.random.Generator) -> None:
        super().__init__({}, {}, {})
        shape = (*first.choice.shape, SAMPLES)
        common = generator.normal(0, 0.2, SAMPLES)
        self.errors: dict[int, Array | None] = {
            id(panel): PLAIN + common + generator.normal(0, 0.06, shape)
            for panel in (first, second)
        }
        for panel in (first, second):
            errors = self.errors[id(panel)]
            assert errors is not None
            panel.figures["test_error"] += errors.mean(axis=-1) - PLAIN
            panel.figures["test_standard_error"][:] = errors.std(axis=-1) / SAMPLES**0.5

    def sample_errors(self, panel: Panel, position: tuple[int, int]) -> Array | None:
        errors = self.errors[id(panel)]
        return None if errors is None else np.asarray(errors[position])


SAMPLES = 400


def test_samples(studies: int) -> None:
    """Print how often a difference of best errors is held where all seeds share the test set."""
    print(
        "\nseeds  over seeds  with other samples, paired  as if tested apart  reach, paired / apart"
    )
    for seeds in (5, 10, 20):
        generator, held, reach = np.random.default_rng(4), np.zeros(3), np.zeros(2)
        for _ in range(studies):
            first, second = panels(generator, seeds, (Basin(), Basin()), pair=False)
            maps = Sampled(first, second, generator)
            measurement = measures.advantage(first, second, maps)
            claim = replace(_claims()["generalisation/sgd"], measure=lambda _, m=measurement: m)
            (answer,) = judge([("", claim, NO_MAPS)])
            maps.errors = {id(panel): None for panel in (first, second)}
            apart = measures.advantage(first, second, maps)
            (bound,) = judge([("", replace(claim, measure=lambda _, m=apart: m), NO_MAPS)])
            number = measurement.number
            ends = [(number.low, number.high), answer.any_samples, bound.any_samples]
            held += [low <= 0 <= high for low, high in ends]
            reach += [(high - low) / 2 for low, high in ends[1:]]
        print(
            f"{seeds:5}  {100 * held[0] / studies:8.1f} %  {100 * held[1] / studies:24.1f} %"
            f"  {100 * held[2] / studies:16.1f} %  {100 * reach[0] / studies:.1f} / "
            f"{100 * reach[1] / studies:.1f} %",
            flush=True,
        )


def one_map(studies: int) -> None:
    """Print the share of studies whose interval holds the truth."""
    print(f"{studies} studies each; nominal 95 %")
    print("seeds  statistic             truth   mean est.  t·s.e.  percentile  BCa")
    for seeds in (3, 5, 10, 20):
        for name, statistic in STATISTICS.items():
            generator = np.random.default_rng(1)
            truth = float(statistic(basin(), basin()))
            estimates, held = [], np.zeros(3)
            for _ in range(studies):
                maps = study(generator, seeds)
                estimates.append(float(statistic(maps[0].mean(axis=0), maps[1].mean(axis=0))))
                held += [low <= truth <= high for low, high in intervals(statistic, maps)]
            shares = "  ".join(f"{100 * share:7.1f} %" for share in held / studies)
            print(f"{seeds:5}  {name:20} {truth:7.4f}  {np.mean(estimates):7.4f}  {shares}")


PARTS = {
    "one-map": one_map,
    "best-cells": best_cells,
    "two-maps": two_maps,
    "again": again,
    "samples": test_samples,
}


if __name__ == "__main__":
    number, *parts = sys.argv[1:] or ["500"]
    for part in parts or PARTS:
        PARTS[part](int(number))

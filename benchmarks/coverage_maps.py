"""Made-up maps with a known truth, and the numbers of the claims on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unyoke.study.claims import catalogue, measures, ridges
from unyoke.study.claims.claim import Claim, Measurement
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.verdicts import judge
from unyoke.study.landscape.landscape import Axes
from unyoke.study.report.survey import Panel
from unyoke.study.statistics import best_cell

Array = NDArray[np.float64]

LR = 2.0 ** np.arange(-4, 5)


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
    """A claim, what its number is in truth, and maps of which that is true.

    Attributes:
        of_the_chosen: the number of the cells that a study chose, without noise.
    """

    row: str
    truth: float
    draw: Draw
    measure: Callable[[list[Panel]], Measurement]
    of_the_chosen: Callable[[list[Panel]], float] | None = None

    def one(
        self, generator: np.random.Generator, seeds: int
    ) -> tuple[bool, bool | None, float, str]:
        """Whether one study's interval holds the truth and that of its cells; number, verdict."""
        drawn = self.draw(generator, seeds)
        measurement = self.measure(drawn)
        claim = replace(claims()[self.row], measure=lambda maps: measurement)
        (answer,) = judge([("", claim, NO_MAPS)])
        number = measurement.number

        def held(truth: float) -> bool:
            return bool(number.low <= truth <= number.high)

        chosen = None if self.of_the_chosen is None else held(self.of_the_chosen(drawn))
        return held(self.truth), chosen, number.value, answer.verdict


def claims() -> dict[str, Claim]:
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
) -> tuple[list[Panel], list[Panel], list[Panel]]:
    """Maps of `CHOOSERS` seeds; the best cells of each, with decay and without, again; expected."""
    choosers = panels(generator, CHOOSERS, basins, pair=pair)
    drawn = panels(generator, seeds, basins, pair=pair)
    again = [_only(_best(one), each) for one, each in zip(choosers, drawn, strict=True)]
    expected = [
        _only(_best(one), _expected(basin, one))
        for one, basin in zip(choosers, basins, strict=True)
    ]
    return choosers, again, expected


def _expected(basin: Basin, panel: Panel) -> Panel:
    """A map without noise."""
    errors = np.broadcast_to(basin.errors(), panel.done.shape).copy()
    return replace(
        panel, figures={**panel.figures, "validation_error": errors, "test_error": errors}
    )


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
            _, again, expected = trained_again(generator, seeds, basins, pair=alike)
            return [*again, *expected]

        def number(first: Panel, second: Panel) -> Measurement:
            return statistic(first, second, NO_MAPS)

        found.append(
            Case(
                row,
                truth,
                draw,
                lambda maps: number(*maps[:2]),
                lambda maps: number(*maps[2:]).number.value,
            )
        )

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
            maps, again, _ = trained_again(generator, seeds, (Basin(gain), Basin(gain)))
            return [*maps, *again]

        def measure(drawn: list[Panel]) -> Measurement:
            return measures.regret_saved(drawn[0], drawn[1], Again(drawn[:2], drawn[2:]))

        return Case("coupling/sgd-regret", 0.0, draw, measure)

    return [*found, regrets(20.0), regrets(0.0)]


def _gain(panel: Panel) -> Measurement:
    return measures.gain(panel, NO_MAPS)


SAMPLES = 400


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

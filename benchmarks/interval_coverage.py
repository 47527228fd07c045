"""How often intervals over seeds hold what they should: made-up studies of a known basin.

    python benchmarks/interval_coverage.py [studies] [PART ...]

PARTs are one-map, best-cells, two-maps, exponents, again and samples; all where none is named.

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
and trained again with others; the truth is the difference of the best errors, and beside it stands
how often the difference of the cells that were chosen is held. Last, what a test set that all seeds
share does to such an interval, and what the errors of single samples mend.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from coverage_maps import (
    LR,
    NO_MAPS,
    Array,
    Basin,
    Case,
    Sampled,
    cases,
    cases_again,
    claims,
    panels,
)
from numpy.typing import NDArray
from scipy import stats

from unyoke.study.claims import measures
from unyoke.study.claims.verdicts import judge
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

Errors = tuple[Array, Array]  # validation and test errors, [..., weight decays, learning rates]

DECAY = LR
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


def two_maps(studies: int) -> None:
    """Print coverage and verdicts of claims that compare maps."""
    _print_verdicts(studies, [case for case in cases() if not _of_exponents(case)], (5, 10, 20))


def exponents(studies: int) -> None:
    """Print them of claims about how the best λ moves with the learning rate and the budget."""
    _print_verdicts(studies, [case for case in cases() if _of_exponents(case)], (5, 10, 20))


def _of_exponents(case: Case) -> bool:
    return case.row.startswith(("law/", "budgets/"))


def _print_verdicts(studies: int, wanted: Sequence[Case], counts: Sequence[int]) -> None:
    print(
        "\nseeds  claim                            truth  mean est.  interval holds it"
        "  its cells' own  verdicts"
    )
    for seeds in counts:
        for case in wanted:
            generator = np.random.default_rng(3)
            drawn = [case.one(generator, seeds) for _ in range(studies)]
            held = sum(holds for holds, *_ in drawn)
            chosen = [chosen for _, chosen, *_ in drawn if chosen is not None]
            own = f"{100 * sum(chosen) / studies:.1f} %" if chosen else ""
            mean = np.nanmean([value for *_, value, _ in drawn])
            counts = Counter(verdict for *_, verdict in drawn)
            verdicts = ", ".join(
                f"{name} {100 * count / studies:.0f}" for name, count in counts.most_common()
            )
            print(
                f"{seeds:5}  {case.row:31} {case.truth:6.2f}  {mean:9.2f}  "
                f"{100 * held / studies:15.1f} %  {own:>14}  {verdicts}",
                flush=True,
            )


def again(studies: int) -> None:
    """Print coverage and verdicts of rows whose best cells are trained again."""
    _print_verdicts(studies, cases_again(), (60, 300))


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
            claim = replace(claims()["generalisation/sgd"], measure=lambda _, m=measurement: m)
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
    "exponents": exponents,
    "again": again,
    "samples": test_samples,
}


if __name__ == "__main__":
    number, *parts = sys.argv[1:] or ["500"]
    for part in parts or PARTS:
        PARTS[part](int(number))

"""How often intervals over seeds hold what they should: made-up studies of a known basin.

    python benchmarks/interval_coverage.py [studies]

Each study is a quadratic basin of tilt −0.6 on 9 × 9 cells, with noise over seeds in whole seeds,
in cells, and in the validation and the test samples. Every statistic is computed with three kinds
of nominal 95 % interval: ours (Student's quantile times the bootstrap's standard error), and the
percentile and BCa intervals of `scipy.stats.bootstrap`. A statistic's truth is its value on the
basin without noise; choosing by noisy errors biases some statistics, and the mean estimate tells.

Then two things that the report says of best cells, each chosen by its validation error: how often
Student's interval of the test error there holds the best error, and how often two equal basins with
the same seeds are called different at the 5 % level by the paired comparison.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

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
Maps = tuple[Array, Array]  # validation and test errors, [..., weight decays, learning rates]

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


def study(generator: np.random.Generator, seeds: int, shared: Array | None = None) -> Maps:
    """Validation and test errors of each seed; `shared` is what a seed does to every cell."""

    def noise(spread: float, *shape: int) -> Array:
        return generator.normal(0, spread, (seeds, *shape))

    network = basin() + (noise(0.006, 1, 1) if shared is None else shared) + noise(0.006, 9, 9)
    return network + noise(0.004, 9, 9), network + noise(0.003, 9, 9)


def intervals(statistic: Callable[[Array, Array], Array], maps: Maps) -> list[tuple[float, float]]:
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


def at_the_best(maps: Maps) -> Array:
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


def main(studies: int) -> None:
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
    best_cells(studies)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)

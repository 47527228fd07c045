"""A page's numbers, computed again from the exported CSV of its ledgers by other code.

Plain loops, numpy's polynomials and scipy's distributions; nothing of unyoke's statistics or
measures. Rules are those that docs/verdicts.md states.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import combinations_with_replacement, pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from planted import fill, valley
from scipy import stats

from unyoke.study.claims import page, plan, run
from unyoke.study.claims.request import Request
from unyoke.study.landscape.landscape import Cell
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.report.tables import rows as table_rows
from unyoke.study.report.tables import write_csv

Array = NDArray[np.float64]
TASKS = ("digits-plain", "breast-cancer")
SEEDS = 5
NAMES = (
    "coupling",
    "generalisation",
    "gain",
    "training-loss/main",
    "others/lion",
    "budgets",
    "law",
)


Seeds = tuple[list[float], list[float], Array]
"""Learning rates, weight decays, and the figures [3, seeds, weight decays, learning rates]."""


def by_seed(lines: list[dict[str, str]]) -> Seeds:
    """The lines of one map."""
    lr = sorted({float(line["lr"]) for line in lines})
    decay = sorted({float(line["weight_decay"]) for line in lines})
    figures = np.full((3, SEEDS, len(decay), len(lr)), np.nan)
    for line in lines:
        at = (decay.index(float(line["weight_decay"])), lr.index(float(line["lr"])))
        for place, name in enumerate(("validation_error", "test_error", "train_loss")):
            figures[(place, int(line["seed"]) % plan.FRESH, *at)] = float(line[name] or "nan")
    return lr, decay, figures


class Map:
    """Mean errors over drawn seeds: [weight decays, learning rates]."""

    def __init__(self, seeds: Seeds, drawn: Iterable[int]) -> None:
        self.lr, self.decay, figures = seeds
        choice, self.report, self.loss = figures[:, list(drawn)].mean(axis=1)
        self.choice = np.where(np.isnan(choice), math.inf, choice)  # diverged: never chosen

    def best(self, allowed: Callable[[int, int], bool]) -> float:
        """Test error of the best of these cells."""
        cells = [
            (round(self.choice[i, j], 10), i, j)
            for i in range(len(self.decay))
            for j in range(len(self.lr))
            if allowed(i, j)
        ]
        if not cells:
            return math.nan
        _, i, j = min(cells)
        return float(self.report[i, j])

    def within(self, log: Array, start: float, stop: float) -> float:
        """Test error of the best cell whose log training loss is between these."""
        return self.best(lambda i, j: bool(start <= log[i, j] <= stop))

    @property
    def plain(self) -> float:
        return self.best(lambda i, _: self.decay[i] == 0)

    @property
    def decayed(self) -> float:
        return self.best(lambda i, _: self.decay[i] > 0)

    @property
    def any(self) -> float:
        return self.best(lambda *_: True)

    @property
    def gain(self) -> float:
        return 1 - self.decayed / self.plain

    @property
    def regret(self) -> float:
        """Of tuning one after the other, from every start with λ > 0, half of them by each axis."""
        rows = [i for i, decay in enumerate(self.decay) if decay > 0]
        first, second = [], []
        for i in rows:
            if np.isinf(self.choice[i]).all():
                continue
            j = min(range(len(self.lr)), key=lambda j: round(self.choice[i, j], 10))
            first.append(self.report[min(rows, key=lambda k: round(self.choice[k, j], 10)), j])
        for j in range(len(self.lr)):
            if np.isinf(self.choice[rows, j]).all():
                continue
            i = min(rows, key=lambda i: round(self.choice[i, j], 10))
            k = min(range(len(self.lr)), key=lambda k: round(self.choice[i, k], 10))
            second.append(self.report[i, k])
        return float((np.mean(first) + np.mean(second)) / 2 - self.decayed)

    def column(self, errors: Array) -> float:
        """log2 of the best λ of one column of errors, by a parabola through three points."""
        rows = [i for i, decay in enumerate(self.decay) if decay > 0]
        low = min(rows, key=lambda i: round(errors[i], 10))
        if low in (rows[0], rows[-1]):
            return math.nan
        if round(errors[0], 10) <= round(errors[low], 10):
            return math.nan
        near = [low - 1, low, low + 1]
        if np.isinf(errors[near]).any():
            return math.log2(self.decay[low])
        places = np.log2([self.decay[i] for i in near])
        square, line, _ = np.polyfit(places - places[1], errors[near], 2)
        return float(places[1] - line / (2 * square))

    def points(self) -> list[tuple[float, float, float]]:
        """log2 α, log2 λ* and weight of each learning rate whose best λ is known."""
        ranked = np.sort(self.choice[np.isfinite(self.choice)])
        spread = ranked[len(ranked) // 4] - ranked[0]
        found = [
            (math.log2(lr), self.column(self.choice[:, j]), self.choice[:, j].min() - ranked[0])
            for j, lr in enumerate(self.lr)
        ]
        return [(a, at, math.exp(-off / spread)) for a, at, off in found if math.isfinite(at)]

    @property
    def ridge(self) -> float:
        points = self.points()
        if len(points) < 3:
            return math.nan
        a, best, weight = np.array(points).T
        return float(np.polyfit(a, best, 1, w=np.sqrt(weight))[0])


Draw = Callable[[Iterable[int]], tuple[float, float] | float]
"""The number of drawn seeds, or numerator and denominator of a share of decay's gain."""


class Studies:
    """The exported ledgers of one task."""

    def __init__(self, request: Request, task: str) -> None:
        groups: dict[tuple[str, str, float, float], list[dict[str, str]]] = {}
        for (name, study), _ in request.landscapes().items():
            if name != task:
                continue
            folder = request.folder(task, study)
            with Ledger.open_to_read(folder) as ledger:
                write_csv(table_rows(ledger.records()), folder / "cells.csv")
            with (folder / "cells.csv").open() as file:
                for line in csv.DictReader(file):
                    budget = float(line["updates"]), float(line["batch_size"] or 1)
                    groups.setdefault((study, line["optimizer"], *budget), []).append(line)
        self.maps = {key: by_seed(lines) for key, lines in groups.items()}

    def of(self, optimizer: str, study: str, drawn: Iterable[int]) -> Map:
        (seeds,) = (seeds for key, seeds in self.maps.items() if key[:2] == (study, optimizer))
        return Map(seeds, drawn)

    def budgets(
        self, optimizer: str, drawn: Iterable[int], wanted: str = "budgets"
    ) -> list[tuple[float, float, Map]]:
        return [
            (math.log2(updates), math.log2(batch), Map(seeds, drawn))
            for (study, name, updates, batch), seeds in self.maps.items()
            if (study, name) == (wanted, optimizer)
        ]


def of_gain(studies: Studies, pair: tuple[str, str], study: str, what: str) -> Draw:
    """A difference as a share of decay's gain, which the best cells trained again show."""

    def parts(drawn: Iterable[int]) -> tuple[float, float]:
        best = study if study.endswith("-best") else f"{study}-best"
        again = [studies.of(name, best, drawn) for name in pair]
        gain = 1 - sum(each.decayed for each in again) / sum(each.plain for each in again)
        one, other = (studies.of(name, study, drawn) for name in pair)
        plain = (one.plain + other.plain) / 2
        if what == "fit":
            return equal_fit(one, other, studies, pair) / plain, gain
        return (getattr(other, what) - getattr(one, what)) / plain, gain

    return parts


def equal_fit(one: Map, other: Map, studies: Studies, pair: tuple[str, str]) -> float:
    """Mean difference of errors over eight bins of the mean training loss of all seeds."""
    whole = [studies.of(name, "main", range(SEEDS)) for name in pair]
    logs = [
        np.where(np.array(each.decay)[:, None] > 0, np.log(each.loss), np.nan) for each in whole
    ]
    ends = np.linspace(
        max(map(float, map(np.nanmin, logs))), min(map(float, map(np.nanmax, logs))), 9
    )
    found = []
    for start, stop in pairwise(ends):
        a, b = (each.within(log, start, stop) for each, log in zip((one, other), logs, strict=True))
        found.append(b - a)
    return float(np.nanmean(found))


def equal_gains(studies: Studies, drawn: Iterable[int]) -> tuple[float, float]:
    one, other = (studies.of(name, "main-best", drawn).gain for name in ("AdamW", "SGDW"))
    return one - other, (one + other) / 2


def slope_of(studies: Studies, name: str, drawn: Iterable[int]) -> float:
    return studies.of(name, "main", drawn).ridge


def lean(studies: Studies, pair: tuple[str, str], drawn: Iterable[int]) -> float:
    signs = [np.sign(studies.of(name, "main", range(SEEDS)).ridge) for name in pair]
    decoupled, coupled = (studies.of(name, "main", drawn).ridge for name in pair)
    return float(signs[1] * coupled - signs[0] * decoupled)


def exponents(
    studies: Studies, optimizer: str, study: str, drawn: Iterable[int]
) -> tuple[float, float]:
    """p, and q of the updates or of the batch size, of one weighted plane."""
    rows = [
        np.array([1.0, a, {"budgets": updates, "batches": batch}[study], best]) * math.sqrt(weight)
        for updates, batch, each in studies.budgets(optimizer, drawn, study)
        for a, best, weight in each.points()
    ]
    table = np.array(rows)
    _, p, q = np.linalg.lstsq(table[:, :3], table[:, 3])[0]
    return float(p), float(q)


def moved(studies: Studies, optimizer: str, study: str, drawn: Iterable[int]) -> float:
    return exponents(studies, optimizer, study, drawn)[1]


def p_less_q(studies: Studies, optimizer: str, drawn: Iterable[int]) -> float:
    p, q = exponents(studies, optimizer, "budgets", drawn)
    return p - q


def statistics(studies: Studies) -> dict[str, tuple[Draw, Draw | None]]:
    """Each row's number, and the gain of decay that it needs if it is no share of it."""
    adam, sgd = ("AdamW", "Adam"), ("SGDW", "SGD")

    def gain(*names: str, study: str = "main") -> Draw:
        return lambda drawn: float(np.mean([studies.of(n, study, drawn).gain for n in names]))

    best = "main-best"

    found: dict[str, tuple[Draw, Draw | None]] = {
        "generalisation/adam": (of_gain(studies, adam, best, "decayed"), None),
        "generalisation/sgd": (
            lambda drawn: (
                1 - studies.of("AdamW", best, drawn).any / studies.of("SGDW", best, drawn).any
            ),
            None,
        ),
        "others/lion": (of_gain(studies, ("LionW", "Lion+l2"), "lion-best", "decayed"), None),
        "training-loss/main": (of_gain(studies, adam, "main", "fit"), None),
        "gain/adamw": (gain("AdamW", study=best), None),
        "gain/sgdw": (gain("SGDW", study=best), None),
        "gain/equal": (partial(equal_gains, studies), None),
    }
    for kind, pair in (("adam", adam), ("sgd", sgd)):
        own, other = pair
        found[f"coupling/{kind}-regret"] = (of_gain(studies, pair, "main", "regret"), None)
        found[f"coupling/{kind}-tilt"] = (partial(lean, studies, pair), gain(*pair, study=best))
        for name, row in ((other, f"{kind}-leans"), (own, f"{kind}w-upright")):
            found[f"coupling/{row}"] = partial(slope_of, studies, name), gain(name, study=best)
        for part, study in (
            ("shrinks", "budgets"),
            ("norm", "budgets"),
            ("timescale", "budgets"),
            ("norm-batch", "batches"),
            ("timescale-batch", "batches"),
        ):
            found[f"budgets/{own.lower()}-{part}"] = partial(moved, studies, own, study), None
        found[f"law/{own.lower()}"] = partial(p_less_q, studies, own), None
    return found


class Known:
    """A number over all draws of seeds, each with its probability.

    The two parts of a share that come from trainings of different seeds do not vary together.
    """

    def __init__(self, draw: Draw, *, apart: bool = False) -> None:
        self.apart = apart
        self.whole = np.atleast_1d(draw(range(SEEDS)))
        ways, values = [], []
        for drawn in combinations_with_replacement(range(SEEDS), SEEDS):
            times = Counter(drawn).values()
            ways.append(math.factorial(SEEDS) / math.prod(map(math.factorial, times)))
            values.append(np.atleast_1d(draw(drawn)))
        self.values, self.ways = np.array(values), np.array(ways) / SEEDS**SEEDS

    @property
    def number(self) -> float:
        return float(self.whole[0] / self.whole[1] if len(self.whole) == 2 else self.whole[0])

    def away(self, point: float) -> tuple[float, float]:
        """How far it is from a point, and the standard error of that."""
        contrast = [1.0, -point] if len(self.whole) == 2 else [1.0]
        shift = 0.0 if len(self.whole) == 2 else point
        away = self.values - self.ways @ self.values
        covariance = SEEDS / (SEEDS - 1) * (away.T * self.ways) @ away
        if self.apart:
            covariance = np.diag(np.diag(covariance))
        variance = float(np.array(contrast) @ covariance @ contrast)
        return float(self.whole @ contrast) - shift, math.sqrt(variance)

    def p_value(self, point: float) -> float:
        value, error = self.away(point)
        return float(2 * stats.t.sf(abs(value) / error, SEEDS - 1))

    def gain(self) -> tuple[float, float, float]:
        """The denominator with its interval."""
        mean = self.ways @ self.values[:, -1]
        variance = SEEDS / (SEEDS - 1) * (self.ways @ (self.values[:, -1] - mean) ** 2)
        reach = stats.t.ppf(0.975, SEEDS - 1) * math.sqrt(variance)
        value = float(self.whole[-1])
        return value, value - reach, value + reach


def corrected(rows: list[Mapping[float, float]]) -> list[dict[float, float]]:
    """Shaffer's step-down: each p times how many rows are not decided at all their points."""
    left = [set(row) for row in rows]
    found: list[dict[float, float]] = [{} for _ in rows]
    worst = 0.0
    for p_value, row, point in sorted(
        (p, row, point) for row, tests in enumerate(rows) for point, p in tests.items()
    ):
        worst = max(worst, p_value * len([points for points in left if points]))
        found[row][point] = min(1.0, worst)
        left[row].remove(point)
    return found


def points_of(line: Mapping[str, str], value: float) -> list[float]:
    if line["predicted"]:
        own, rival = float(line["predicted"]), float(line["rival"])
        return [own, rival, 2 * own - rival]
    low, high = (float(line[name] or "nan") for name in ("holds_above", "holds_below"))
    if line["row"].endswith("-shrinks"):
        return [0.0, 0.25, -0.25]
    if math.isnan(high) and low > 0:
        return [low, 0.0, -low]
    if math.isnan(low) and high < 0:
        return [high, 0.0, -high]
    return [min((end for end in (low, high) if not math.isnan(end)), key=lambda e: abs(value - e))]


def verdict(line: Mapping[str, str], value: float, p: Mapping[float, float], gain: float) -> str:
    """By the table of docs/verdicts.md; `gain` is the lower end of decay's."""
    if not gain > 0:
        return "not asked here"
    sure = {point for point, p_value in p.items() if p_value < 0.05}
    if line["predicted"]:
        own, rival = float(line["predicted"]), float(line["rival"])
        if own in sure:
            return "contradicted"
        return "held" if {rival, 2 * own - rival} <= sure else "undecided"
    if len(p) == 1:
        low, high = (float(line[name] or "nan") for name in ("holds_above", "holds_below"))
        inside = not value < low and not value > high
        return "undecided" if not sure else "held" if inside else "contradicted"
    sign = 1 if math.isnan(float(line["holds_below"] or "nan")) else -1
    margin = max(map(abs, p))
    start = 0.0 if line["row"].endswith("-shrinks") else margin
    effect = sign * value
    if effect > start and sign * start in sure:
        return "held"
    if effect < 0 and 0.0 in sure:
        return "contradicted"
    if effect >= margin or sign * margin not in sure:
        return "undecided"
    if effect > 0 and 0.0 in sure:
        return "smaller than notable"
    return "no difference" if -sign * margin in sure else "undecided"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """A page of two tasks, of planted ledgers with noise and with trainings that diverged."""
    sizes = {
        task: {
            study: replace(size, seeds=SEEDS, rates=2, decays=1)
            for study, size in plan.SCALES["smoke"].tasks["digits-plain"].items()
        }
        for task in TASKS
    }
    monkeypatch.setattr(plan, "SCALES", {"smoke": plan.Scale(sizes)})
    request = Request(tmp_path, "smoke", TASKS, NAMES)

    def error(cell: Cell) -> float:
        coupled = not cell.optimizer.endswith("W")
        slope = -0.7 if coupled else 0.2
        gain = 0.025 if coupled and cell.optimizer.startswith("Adam") else 0.04
        moved = slope * (np.log2(cell.lr) + 5) - 0.5 * np.log2(cell.updates / 20)
        too_much = cell.lr * cell.weight_decay > 0.05
        if (too_much and cell.seed == 1) or (cell.optimizer == "SGD" and cell.lr == 1.0):
            return math.nan
        return valley(cell, moved, best=0.1 - gain, gain=gain, at=-5.0)

    fill(request, error, spread=0.002)
    maps = run.read(request, request.needed())
    page.write(request, run.answer(request, maps), maps)
    return request


@pytest.mark.slow
def test_every_row_of_the_page(written: Request) -> None:
    with (written.out / "claims.csv").open() as file:
        lines = {(line["row"], line["task"]): line for line in csv.DictReader(file)}
    known: dict[tuple[str, str], tuple[Known, tuple[float, float, float] | None]] = {}
    for task in TASKS:
        for row, (draw, gain) in statistics(Studies(written, task)).items():
            number = Known(draw, apart=row.endswith("-regret") or row == "training-loss/main")
            own = number.gain() if len(number.whole) == 2 else None
            known[row, task] = number, own if gain is None else Known(gain).gain()
    assert set(known) == {
        key for key in lines if not key[0].startswith(("p1", "p2", "p3", "bayes"))
    }
    families = {
        row: corrected(
            [
                {
                    point: known[row, task][0].p_value(point)
                    for point in points_of(lines[row, task], known[row, task][0].number)
                }
                for task in TASKS
            ]
        )
        for row in {row for row, _ in known}
    }
    for (row, task), (number, gain) in known.items():
        check(lines[row, task], number, gain, families[row][TASKS.index(task)])
    assert len({line["verdict"] for line in lines.values()}) >= 4


def check(
    line: Mapping[str, str],
    number: Known,
    gain: tuple[float, float, float] | None,
    p_values: Mapping[float, float],
) -> None:
    where = f"{line['row']} {line['task']}"
    figures = {name: float(text) for name, text in line.items() if name in FIGURES and text}
    if math.isnan(number.values.sum()):
        assert line["verdict"] in ("undecided", "not asked here"), where
        assert "low" not in figures, where
        return
    assert figures["number"] == pytest.approx(number.number, rel=1e-9, abs=1e-12), where
    if "low" in figures:
        for end in ("low", "high"):
            assert number.p_value(figures[end]) == pytest.approx(0.05, rel=1e-6), (where, end)
        assert figures["low"] < number.number < figures["high"], where
    ends = [float(line[name]) for name in ("holds_above", "holds_below") if line[name]]
    own = float(line["predicted"] or min(ends or [0.0], key=lambda end: abs(end - number.number)))
    assert figures["corrected_p_value"] == pytest.approx(p_values[own], rel=1e-6), where
    assert line["holm_p_value"] == line["corrected_p_value"], where
    if gain is not None:
        written = [figures[name] for name in ("gain_of_decay", "gain_low", "gain_high")]
        assert written == pytest.approx(list(gain), rel=1e-9), where
    expected = verdict(line, number.number, p_values, 1.0 if gain is None else gain[1])
    assert line["verdict"] == expected, where


FIGURES = ("number", "low", "high", "corrected_p_value", "gain_of_decay", "gain_low", "gain_high")

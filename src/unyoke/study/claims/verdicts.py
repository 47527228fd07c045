"""From numbers to verdicts.

A drawn number is tested two-sided, by Student's distribution with one degree of freedom less than
there are seeds, against the nearest end of its region. Where the region begins at a notable effect
c, it is tested against 0 and −c too, and what those three tests say is the verdict:

    held                   in the region
    smaller than notable   between 0 and c: the claim's sign, and less than c
    no difference          between −c and c, and neither sign is certain
    contradicted           of the other sign; of other regions: outside
    not asked here         two decay rules are compared, and that decay gains anything is not
                           established on this task
    undecided              anything else, and what fewer than three seeds say

The p-values of one claim on all tasks of a page are corrected together, so that the command of a
single row gives the verdict of the page. An exact row is decided where all its problems lie on one
side.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from unyoke.study.claims.claim import Claim, Measurement, Verdict
from unyoke.study.claims.maps import Incomplete, Maps
from unyoke.study.statistics import detectable_effect

LEVEL = 0.05
FEWEST = 3
"""Seeds without which nothing is decided: the spread of two can be small by chance."""


@dataclass(frozen=True)
class Answer:
    """A claim about a task, and what came of it.

    Attributes:
        task: that it was tested on; empty for an exact claim.
        measurement: None where something is missing.
        missing: what, in words.
        p_values: of each tested point, corrected over the claim's tasks; empty for exact and
            incomplete rows.
    """

    task: str
    claim: Claim
    measurement: Measurement | None
    missing: str
    p_values: Mapping[float, float] = field(default_factory=dict)

    @property
    def p_value(self) -> float:
        """Of "the number lies at the nearest end of the region"; NaN where nothing is tested."""
        if self.measurement is None:
            return math.nan
        nearest = self.claim.region.nearest_end(self.measurement.number.value)
        return self.p_values.get(nearest, math.nan)

    @property
    def verdict(self) -> Verdict:
        """As the module's docstring says."""
        if self.measurement is None:
            return "incomplete"
        region, number = self.claim.region, self.measurement.number
        if not self.measurement.drawn:
            inside = {number.low in region, number.high in region}
            return "undecided" if len(inside) > 1 else _side(inside.pop())
        if self.measurement.samples < FEWEST:
            return "undecided"
        gain = self.measurement.gain
        if gain is not None and not gain.low > 0:
            return "not asked here"
        if region.notable is not None:
            return self._directional(region.notable, number.value)
        return _side(number.value in region) if self.p_value < LEVEL else "undecided"

    def _directional(self, notable: float, value: float) -> Verdict:
        """Of a region that begins at a notable effect."""
        sign = math.copysign(1.0, notable)
        value, size = sign * value, abs(notable)
        differs = {
            point: self.p_values.get(sign * point, math.nan) < LEVEL for point in (-size, 0.0, size)
        }
        if differs[size] and value > size:
            return "held"
        if differs[0.0] and value < 0:
            return "contradicted"
        if not (differs[size] and value < size):
            return "undecided"
        if differs[0.0] and value > 0:
            return "smaller than notable"
        return "no difference" if differs[-size] and value > -size else "undecided"

    @property
    def detectable(self) -> float:
        """The distance from the region's end that would have been seen, before the correction.

        With probability 80 % at the 5 % level, from this many seeds of this spread.
        """
        if self.measurement is None or not self.measurement.drawn or self.measurement.samples < 2:
            return math.nan
        spread = self.measurement.number.standard_error * math.sqrt(self.measurement.samples)
        return spread * detectable_effect(self.measurement.samples)

    @property
    def any_samples(self) -> tuple[float, float] | None:
        """The interval's ends if the test samples count as drawn too; None where not known."""
        if self.measurement is None or not math.isfinite(self.measurement.sampling_error):
            return None
        number = self.measurement.number
        reach = math.hypot(number.high - number.value, 1.96 * self.measurement.sampling_error)
        return number.value - reach, number.value + reach

    @property
    def on_other_samples(self) -> bool | None:
        """Whether all of `any_samples` lies on the number's side; None where not known."""
        ends = self.any_samples
        if self.measurement is None or ends is None:
            return None
        number = self.measurement.number
        return self.claim.region.distance(number.value) > number.value - ends[0]


def _side(inside: bool) -> Verdict:
    return "held" if inside else "contradicted"


def judge(tested: Iterable[tuple[str, Claim, Maps]]) -> list[Answer]:
    """Measure every claim of a page, each on a task, and correct the p-values of each claim."""
    found: list[tuple[str, Claim, Measurement | None, str]] = []
    for task, claim, maps in tested:
        try:
            measurement = claim.measure(maps)
        except Incomplete as lacking:
            found.append((task, claim, None, str(lacking)))
            continue
        if math.isfinite(measurement.number.value):
            found.append((task, claim, measurement, ""))
        else:
            found.append((task, claim, None, "no map has a cell from which it is known"))
    families: dict[str, list[int]] = {}
    for place, (_, claim, _, _) in enumerate(found):
        families.setdefault(claim.name, []).append(place)
    corrected: list[Mapping[float, float]] = [{}] * len(found)
    for places in families.values():
        raw = [_p_values(found[place][1], found[place][2]) for place in places]
        for place, p_values in zip(places, step_down(raw), strict=True):
            corrected[place] = p_values
    return [Answer(*row, p_values) for row, p_values in zip(found, corrected, strict=True)]


def step_down(rows: Sequence[Mapping[float, float]]) -> list[dict[float, float]]:
    """p-values after correction over several rows, each of one number tested at some points.

        p̃_(k) = min(1, max over i ≤ k of m_i·p_(i)) ;  p_(1) ≤ p_(2) ≤ …

    m_i is how many rows have a point that is not among the first i − 1. A number lies at one of
    its points at most, so no more than m_i of the remaining hypotheses are true together (Shaffer
    1986), and one true point or more is rejected with probability 5 % at most. With one point to
    a row this is Holm's method.
    """
    ordered = sorted(
        (p_value, row, point) for row, tests in enumerate(rows) for point, p_value in tests.items()
    )
    open_points = [len(tests) for tests in rows]
    corrected: list[dict[float, float]] = [{} for _ in rows]
    reached = 0.0
    for p_value, row, point in ordered:
        reached = max(reached, sum(count > 0 for count in open_points) * p_value)
        corrected[row][point] = min(1.0, reached)
        open_points[row] -= 1
    return corrected


def _p_values(claim: Claim, measurement: Measurement | None) -> dict[float, float]:
    """Two-sided, of "the number lies at this point", for each point that the verdict needs."""
    if measurement is None or not measurement.drawn or measurement.samples < FEWEST:
        return {}
    value, notable = measurement.number.value, claim.region.notable
    nearest = claim.region.nearest_end(value)
    points = (nearest,) if notable is None else (notable, 0.0, -notable)
    return {point: _p_value(measurement, point) for point in points}


def _p_value(measurement: Measurement, point: float) -> float:
    from scipy.stats import t

    number = measurement.number
    away = abs(number.value - point)
    if not number.standard_error > 1e-9 * max(away, abs(number.value)):
        return 2.0 ** (1 - measurement.samples) if away > 0 else 1.0
    return float(np.minimum(1.0, 2 * t.sf(away / number.standard_error, measurement.samples - 1)))

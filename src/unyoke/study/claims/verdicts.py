"""From numbers to verdicts.

A drawn number is tested two-sided, by Student's distribution with one degree of freedom less than
there are seeds, against the nearest end of its region. Where the region lies on one side of 0 and
begins at a notable effect c, it is tested against 0 and −c too, and what those three tests say is
the verdict:

    held                   in the region
    smaller than notable   between 0 and c: the claim's sign, and less than c
    no difference          between −c and c, and neither sign is certain
    contradicted           of the other sign; of other regions: outside
    not asked here         the claim is about decay rules, and that decay gains anything is not
                           established on this task
    undecided              anything else, and what fewer than three seeds say

A region that begins at 0 itself has no "smaller than notable". A claim that predicts one number is
tested there, at its rival's, and as far on the other side: held where both of these are rejected
and its own is not, contradicted where its own is.

The p-values of one claim on all tasks of a page are corrected together, so that the command of a
single row gives the verdict of the page. An exact row is decided where all its problems lie on one
side.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from unyoke.study.claims.claim import Claim, Measurement, Prediction, Region, Verdict
from unyoke.study.claims.maps import Incomplete, Maps
from unyoke.study.statistics import detectable_effect

LEVEL = 0.05
FEWEST = 3
"""Seeds without which nothing is decided: the spread of two can be small by chance."""

ROUNDING = 1e-12
"""Numbers of claims are of the order of 1; what is as near as this to a point is at it."""
Z = 1.96
"""Standard errors that an interval of 95 % reaches where no degrees of freedom are counted."""


@dataclass(frozen=True)
class Answer:
    """A claim about a task, and what came of it.

    Attributes:
        task: that it was tested on; empty for an exact claim.
        measurement: None where something is missing.
        missing: what, in words; or why the number is not known.
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
        """Of the region's nearest end, or of what is predicted; NaN where nothing is tested."""
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
            assert isinstance(region, Region)
            inside = {number.low in region, number.high in region}
            return "undecided" if len(inside) > 1 else _side(inside.pop())
        if self.measurement.samples < FEWEST:
            return "undecided"
        gain = self.measurement.gain
        if gain is not None and not gain.low > 0:
            return "not asked here"
        if isinstance(region, Prediction):
            return self._of_two_predictions(region)
        if region.sign:
            return self._directional(region, number.value)
        return _side(number.value in region) if self.p_value < LEVEL else "undecided"

    def _of_two_predictions(self, region: Prediction) -> Verdict:
        if self._differs(region.value):
            return "contradicted"
        near = self._differs(region.rival) and self._differs(region.mirrored)
        return "held" if near else "undecided"

    def _directional(self, region: Region, value: float) -> Verdict:
        """Of a region that lies on one side of 0."""
        sign, start, size = region.sign, region.start, region.notable
        value = sign * value
        if value > start and self._differs(sign * start):
            return "held"
        if value < 0 and self._differs(0.0):
            return "contradicted"
        if not (value < size and self._differs(sign * size)):
            return "undecided"
        if value > 0 and self._differs(0.0):
            return "smaller than notable"
        return "no difference" if value > -size and self._differs(-sign * size) else "undecided"

    def _differs(self, point: float) -> bool:
        """Whether the number is certainly not this."""
        return self.p_values.get(point, math.nan) < LEVEL

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
        number, samples = self.measurement.number, Z * self.measurement.sampling_error
        below = math.hypot(number.value - number.low, samples)
        return number.value - below, number.value + math.hypot(number.high - number.value, samples)

    @property
    def on_other_samples(self) -> bool | None:
        """Whether all of `any_samples` lies on the number's side; None where not known."""
        ends = self.any_samples
        if self.measurement is None or ends is None:
            return None
        end = self.claim.region.nearest_end(self.measurement.number.value)
        return not ends[0] <= end <= ends[1]


def _side(inside: bool) -> Verdict:
    return "held" if inside else "contradicted"


DIVERGED = "in each cell from which it would be known training diverged for some seed"


def judge(tested: Iterable[tuple[str, Claim, Maps]]) -> list[Answer]:
    """Measure every claim of a page, each on a task, and correct the p-values of each claim."""
    found: list[tuple[str, Claim, Measurement | None, str]] = []
    for task, claim, maps in tested:
        try:
            measurement = claim.measure(maps)
        except Incomplete as lacking:
            found.append((task, claim, None, str(lacking)))
            continue
        known = math.isfinite(measurement.number.value) or measurement.ratio
        unknown = measurement.unknown or ("" if known else DIVERGED)
        found.append((task, claim, measurement, unknown))
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
    """Two-sided, of "the number is this", for each point that the verdict needs.

    None of a number whose interval is not known.
    """
    if measurement is None or not measurement.drawn or measurement.samples < FEWEST:
        return {}
    points = claim.region.points(measurement.number.value)
    found = {point: _p_value(measurement, point) for point in points}
    return {point: p_value for point, p_value in found.items() if math.isfinite(p_value)}


def _p_value(measurement: Measurement, point: float) -> float:
    from scipy.stats import t

    value, error = measurement.away_from(point)
    away = abs(value)
    if not math.isfinite(away) or not math.isfinite(error):
        return math.nan
    if away < ROUNDING:
        return 1.0
    if error <= 1e-9 * max(away, abs(measurement.number.value)):
        return 2.0 ** (1 - measurement.samples)
    return float(np.minimum(1.0, 2 * t.sf(away / error, measurement.samples - 1)))

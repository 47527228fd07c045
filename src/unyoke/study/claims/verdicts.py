"""From numbers to verdicts.

Each drawn number has a two-sided p-value of "it lies at the nearest end of the region", by
Student's distribution with one degree of freedom less than there are seeds. The p-values of all
rows of a page are corrected together (Holm). A row is decided where the corrected p is below 5 %:
it held if its number lies inside the region, and did not hold if outside. Everything else is
undecided, and so is what fewer than three seeds say. An exact row is decided where all its
problems lie on one side.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from unyoke.study.claims.claim import Claim, Measurement, Verdict
from unyoke.study.claims.maps import Incomplete, Maps
from unyoke.study.statistics import detectable_effect, holm

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
        p_value: after Holm's correction over all rows; NaN for exact and incomplete ones.
    """

    task: str
    claim: Claim
    measurement: Measurement | None
    missing: str
    p_value: float

    @property
    def verdict(self) -> Verdict:
        """As the module's docstring says."""
        if self.measurement is None:
            return "incomplete"
        region, number = self.claim.region, self.measurement.number
        if not self.measurement.drawn:
            inside = {number.low in region, number.high in region}
            return "undecided at this scale" if len(inside) > 1 else _side(inside.pop())
        if not self.p_value < LEVEL:
            return "undecided at this scale"
        return _side(number.value in region)

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
    return "held" if inside else "did not hold"


def judge(tested: Iterable[tuple[str, Claim, Maps]]) -> list[Answer]:
    """Measure every claim of a page, each on a task, and correct the p-values together."""
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
    corrected = holm([_p_value(claim, measured) for _, claim, measured, _ in found])
    return [Answer(*row, float(p_value)) for row, p_value in zip(found, corrected, strict=True)]


def _p_value(claim: Claim, measurement: Measurement | None) -> float:
    """Two-sided, of "the number lies at the nearest end of the region"."""
    if measurement is None or not measurement.drawn or measurement.samples < FEWEST:
        return math.nan
    from scipy.stats import t

    number = measurement.number
    away = claim.region.distance(number.value)
    if number.standard_error <= 1e-9 * max(away, abs(number.value)):
        return 2.0 ** (1 - measurement.samples) if away > 0 else 1.0
    return float(np.minimum(1.0, 2 * t.sf(away / number.standard_error, measurement.samples - 1)))

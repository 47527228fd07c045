"""What a claim is here: a statement about a number, and where that number must lie."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from unyoke.study.statistics import Interval, Ratio

if TYPE_CHECKING:
    from unyoke.study.claims.maps import Maps

Verdict = Literal[
    "held",
    "smaller than notable",
    "no difference",
    "contradicted",
    "undecided",
    "not asked here",
    "incomplete",
]

Sampling = Literal["drawn by the seed", "paired", "bound", "unknown"]
"""How far other test samples would move a number: the seeds' interval covers them, since each seed
draws its own; from the errors of single samples; from two standard errors, as if the samples were
not the same, which is too much; not at all."""


@dataclass(frozen=True)
class Region:
    """Where the number must lie for the claim to hold: between two ends.

    Attributes:
        negligible: of a region that begins at 0, the effect below which there is none to speak of.
    """

    low: float = -math.inf
    high: float = math.inf
    negligible: float = 0.0

    def __contains__(self, value: float) -> bool:
        return self.low < value < self.high

    def distance(self, value: float) -> float:
        """From `value` to the nearest end."""
        return abs(value - self.nearest_end(value))

    def nearest_end(self, value: float) -> float:
        """The end that lies nearest to `value`."""
        return min(self.low, self.high, key=lambda end: abs(value - end))

    @property
    def sign(self) -> float:
        """Of a region that is all on one side of 0: of which; 0 for others."""
        if math.isinf(self.high) and 0 <= self.low < math.inf:
            return 1.0
        return -1.0 if math.isinf(self.low) and -math.inf < self.high <= 0 else 0.0

    @property
    def start(self) -> float:
        """Of a region with a sign: how far from 0 it begins."""
        return abs(self.nearest_end(0.0))

    @property
    def notable(self) -> float:
        """Of a region with a sign: the least effect that counts."""
        return max(self.start, self.negligible)

    def points(self, value: float) -> tuple[float, ...]:
        """The values that are tested where `value` was measured."""
        if not self.sign:
            return (self.nearest_end(value),)
        size = self.notable
        return tuple(dict.fromkeys((self.sign * self.start, 0.0, size, -size)))

    def text(self, scale: float = 1.0) -> str:
        """As it is read: > 5, < 5, or −2 … 2."""
        low, high = (_figure(scale * end) for end in (self.low, self.high))
        if math.isinf(self.high):
            return f"> {low}"
        return f"< {high}" if math.isinf(self.low) else f"{low} … {high}"


@dataclass(frozen=True)
class Prediction:
    """A number that a rule predicts, beside what the rival rule predicts for it.

    The claim holds where the data reject the rival's value, and the value as far on the other side,
    and not its own.
    """

    value: float
    rival: float

    def distance(self, value: float) -> float:
        """From `value` to what is predicted."""
        return abs(value - self.value)

    def nearest_end(self, value: float) -> float:
        """What is predicted."""
        return self.value

    def points(self, value: float) -> tuple[float, ...]:
        """Both predictions, and the rival's mirrored at its own."""
        return (self.value, self.rival, self.mirrored)

    @property
    def mirrored(self) -> float:
        """As far from what is predicted as the rival's, on the other side."""
        return 2 * self.value - self.rival

    def text(self, scale: float = 1.0) -> str:
        """As it is read: = −0.5, not 0."""
        own, rival = (_figure(scale * value) for value in (self.value, self.rival))
        return f"= {own}, not {rival}"


def _figure(value: float) -> str:
    return f"{value:g}".replace("-", "−")


@dataclass(frozen=True)
class Measurement:
    """What was measured for a claim.

    Attributes:
        number: with its interval over seeds; of an exact claim, the range over problems.
        samples: seeds, or problems.
        drawn: whether the samples are drawn, so that a p-value has a meaning.
        sampling_error: standard error that the finite test set leaves, in the number's unit; NaN
            where it is not known.
        sampling: how `sampling_error` is known.
        details: what stands behind the number, in words.
        gain: of decay itself, as a share of the error without it, where a claim is about decay
            rules and has no meaning without one. None where none is needed.
        ratio: of what the number is the quotient; points are tested through it.
        unknown: why the number is not known although nothing is missing.
    """

    number: Interval
    samples: int
    drawn: bool = True
    sampling_error: float = math.nan
    sampling: Sampling = "unknown"
    details: str = ""
    gain: Interval | None = None
    ratio: Ratio | None = None
    unknown: str = ""

    def away_from(self, point: float) -> tuple[float, float]:
        """What is 0 if the number is `point`, and its standard error over seeds."""
        if self.ratio is not None:
            return self.ratio.contrast(point)
        return self.number.value - point, self.number.standard_error


@dataclass(frozen=True)
class Claim:
    """One row of the page.

    Attributes:
        name: `group/part`; the part before the stroke selects the whole group on the command line.
        sentence: the claim.
        place: in the paper, or the paper that makes it.
        statistic: what the number is, in words.
        region: where it must lie. Written before any run that decides it.
        reason: why the region's ends are where they are.
        percent: whether the number is a share that is shown in per cent.
        of_gain: whether it is a share of decay's gain, not of an error.
        of_paper: whether arXiv 1711.05101 makes the claim, and not somebody else.
        studies: of `plan.STUDIES`, from which it is answered.
        gain_from: the study whose trainings show what decay gains, where the task has it.
        optimizers: whose maps, of those studies.
        measure: computes the number from records alone.
    """

    name: str
    sentence: str
    place: str
    statistic: str
    region: Region | Prediction
    reason: str
    studies: tuple[str, ...]
    optimizers: tuple[str, ...]
    measure: Callable[[Maps], Measurement] = field(repr=False)
    percent: bool = False
    of_gain: bool = False
    of_paper: bool = True
    gain_from: str | None = None

    @property
    def group(self) -> str:
        """The claims that the command line selects together with it."""
        return self.name.partition("/")[0]

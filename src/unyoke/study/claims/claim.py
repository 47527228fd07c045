"""What a claim is here: a statement about a number, and where that number must lie."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from unyoke.study.statistics import Interval

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


@dataclass(frozen=True)
class Region:
    """Where the number must lie for the claim to hold: between two ends."""

    low: float = -math.inf
    high: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.low < value < self.high

    def distance(self, value: float) -> float:
        """From `value` to the nearest end."""
        return abs(value - self.nearest_end(value))

    def nearest_end(self, value: float) -> float:
        """The end that lies nearest to `value`."""
        return min(self.low, self.high, key=lambda end: abs(value - end))

    @property
    def notable(self) -> float | None:
        """The least effect that counts, of a region that is all beyond it; None of others."""
        if math.isinf(self.high) and 0 < self.low < math.inf:
            return self.low
        return self.high if math.isinf(self.low) and -math.inf < self.high < 0 else None

    def text(self, scale: float = 1.0) -> str:
        """As it is read: > 5, < 5, or −2 … 2."""
        low, high = (f"{scale * end:g}".replace("-", "−") for end in (self.low, self.high))
        if math.isinf(self.high):
            return f"> {low}"
        return f"< {high}" if math.isinf(self.low) else f"{low} … {high}"


@dataclass(frozen=True)
class Measurement:
    """What was measured for a claim.

    Attributes:
        number: with its interval over seeds; of an exact claim, the range over problems.
        samples: seeds, or problems.
        drawn: whether the samples are drawn, so that a p-value has a meaning.
        sampling_error: standard error that the finite test set leaves, in the number's unit, at
            most; NaN where it is not known, since ledgers keep no errors of single samples.
        details: what stands behind the number, in words.
        gain: of decay itself, as a share of the error without it, where two decay rules are
            compared: the mean over both maps. None where none is needed.
    """

    number: Interval
    samples: int
    drawn: bool = True
    sampling_error: float = math.nan
    details: str = ""
    gain: Interval | None = None


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
        studies: of `plan.STUDIES`, from which it is answered.
        optimizers: whose maps, of those studies.
        measure: computes the number from records alone.
    """

    name: str
    sentence: str
    place: str
    statistic: str
    region: Region
    reason: str
    studies: tuple[str, ...]
    optimizers: tuple[str, ...]
    measure: Callable[[Maps], Measurement] = field(repr=False)
    percent: bool = False

    @property
    def group(self) -> str:
        """The claims that the command line selects together with it."""
        return self.name.partition("/")[0]

"""The exact claims. Their numbers are computed by `exact` and kept in one file."""

from __future__ import annotations

from functools import partial

from unyoke.study.claims.claim import Claim, Measurement, Region
from unyoke.study.claims.maps import Maps
from unyoke.study.statistics import Interval

EQUAL = Region(high=1e-10)
ROUNDING = "float64 leaves about 1e-14 after 100 updates; 1e-10 is far from any real difference"
FAR = "rounding leaves about 1e-14; six orders above the limit of equality is no rounding"
LIMIT = "how far from its limit the parameter was put leaves less than 1e-8"


def _recorded(name: str, maps: Maps) -> Measurement:
    values = maps.exact(name)
    mean = sum(values) / len(values)
    number = Interval(mean, 0.0, min(values), max(values))
    return Measurement(number, len(values), drawn=False, details="range over drawn problems")


def _claim(
    name: str, sentence: str, place: str, statistic: str, region: Region, reason: str
) -> Claim:
    return Claim(name, sentence, place, statistic, region, reason, (), (), partial(_recorded, name))


APART = "largest distance of the two paths, as a share of the way"
LEFT = "share of decay's effect on the path that the best λ′ leaves"

PROPOSITIONS = (
    _claim(
        "p1/same",
        "For plain SGD, L2 with λ′ = λ/α is decoupled weight decay.",
        "Proposition 1",
        APART,
        EQUAL,
        ROUNDING,
    ),
    _claim(
        "p1/same-scheduled",
        "So it is under a schedule, as long as there is no momentum.",
        "Proposition 1",
        APART,
        EQUAL,
        ROUNDING,
    ),
    _claim(
        "p1/momentum",
        "With momentum no λ′ makes the two the same.",
        "Proposition 1, which has no momentum",
        LEFT,
        Region(1e-4),
        FAR,
    ),
    _claim(
        "p1/momentum-scheduled",
        "With momentum and a cosine no λ′ makes the two the same.",
        "Proposition 1, which has no momentum",
        LEFT,
        Region(1e-4),
        FAR,
    ),
    _claim(
        "p1/steady",
        "With momentum, L2 decays by αλ′/(1 − β1) per update once it is steady.",
        "Proposition 1, extended",
        "measured decay per update over αλ′/(1 − β1), without gradients",
        Region(0.98, 1.02),
        "the next term of the expansion is below 1 %",
    ),
    _claim(
        "p2/adam",
        "For Adam no L2 strength reproduces decoupled weight decay.",
        "Proposition 2",
        LEFT,
        Region(0.01),
        "a hundredth of decay's effect is visible in training, and far above rounding",
    ),
    _claim(
        "p3/frozen",
        "With a frozen preconditioner, scale-adjusted L2 is decoupled weight decay.",
        "Proposition 3, in the proof's form λ′/2·‖θ⊙√s‖²",
        APART,
        EQUAL,
        ROUNDING,
    ),
    _claim(
        "p3/moving",
        "The equivalence fades as the preconditioner moves: what is left grows with 1 − β2.",
        "Proposition 3, beyond",
        "slope of log(share left) over log(1 − β2), 1e-6 … 1e-3",
        Region(0.0),
        "to grow is to have a slope above 0; 1 would be proportional to the movement",
    ),
    _claim(
        "bayes/transition",
        "A state transition (1 − λ)θ decays the mean by 1 − λ whatever the uncertainty.",
        "Section 3",
        "largest distance from θ_0(1 − λ)^t without evidence, as a share of the way",
        EQUAL,
        ROUNDING,
    ),
    _claim(
        "bayes/sgd",
        "With little information AdaBayes (fixed point) is SGD with decoupled decay.",
        "Section 3; arXiv 1807.07540",
        APART,
        Region(high=1e-8),
        LIMIT,
    ),
    _claim(
        "bayes/sgd-filtered",
        "So is the filter itself, whose variance moves with every gradient.",
        "Section 3; arXiv 1807.07540",
        APART,
        Region(high=1e-4),
        "the variance is put at 1e-8 and squared gradients reach about 100",
    ),
    _claim(
        "bayes/adam",
        "With much information AdaBayes (fixed point) is Adam.",
        "Section 3; arXiv 1807.07540",
        APART,
        Region(high=1e-8),
        LIMIT,
    ),
    _claim(
        "bayes/adamw",
        "With much information and the prior (1 − λ)θ it is AdamW.",
        "Section 3; arXiv 1807.07540",
        APART,
        Region(high=1e-8),
        LIMIT,
    ),
)

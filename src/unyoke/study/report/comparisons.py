"""Who is better than whom: paired over seeds, corrected for the number of comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from unyoke.study.report.findings import Finding, compare
from unyoke.study.report.samples import Samples
from unyoke.study.report.survey import Setting
from unyoke.study.statistics import Comparison, holm

LEVEL = 0.05
EVERY_PAIR = 6
"""Up to this many optimizers are compared each with each; more, each with the best of them."""

Verdict = Literal["better", "better on these test samples", "undecided"]


@dataclass(frozen=True)
class PairVerdict:
    """Two best cells: whether that of `first` has a lower test error than that of `second`.

    Attributes:
        comparison: test error of the first less that of the second, paired over seeds.
        p_value: after Holm's correction over all rows of the report.
    """

    setting: Setting
    first: str
    second: str
    comparison: Comparison
    p_value: float

    @property
    def verdict(self) -> Verdict:
        """Whether one of the two is better, and whether on other test samples too.

        "Better" needs a corrected p-value below 5 % over seeds; without the addition "on these
        test samples" also for an interval without 0 when the test samples count as drawn.
        """
        if not self.p_value < LEVEL:
            return "undecided"
        beyond = self.comparison.any_samples.excludes_zero
        return "better" if beyond else "better on these test samples"

    @property
    def better(self) -> str | None:
        """The title of the better one, if one is."""
        if self.verdict == "undecided":
            return None
        return self.first if self.comparison.difference.value < 0 else self.second


def comparisons(findings: list[Finding], samples: Samples | None = None) -> list[PairVerdict]:
    """Every panel against its own best without decay, and the optimizers of a setting in pairs.

    Of maps that some seed has run whole, and with those seeds.

    Args:
        samples: what is known of the test samples; without it their part has a bound only.
    """
    pairs: list[tuple[Setting, str, str, Comparison]] = []
    settings: dict[Setting, list[Finding]] = {}
    for finding in findings:
        if finding.best is not None and finding.basis.whole.any():
            settings.setdefault(finding.panel.setting, []).append(finding)
    for setting, beside in settings.items():
        for first, second in _pairs(beside):
            difference = compare(first.basis, first.best, second.basis, second.best, samples)
            pairs.append((setting, first.panel.title, second.panel.title, difference))
        for finding in beside:
            if finding.gain is not None:
                title = finding.panel.title
                plain = f"{title}, {finding.panel.decay_symbol} = 0"
                pairs.append((setting, title, plain, finding.gain))
    corrected = holm([comparison.p_value for *_, comparison in pairs])
    return [
        PairVerdict(*row, float(p_value)) for row, p_value in zip(pairs, corrected, strict=True)
    ]


def _pairs(beside: list[Finding]) -> list[tuple[Finding, Finding]]:
    if len(beside) <= EVERY_PAIR:
        return list(combinations(beside, 2))
    best = min(beside, key=lambda finding: float(finding.basis.choice[finding.best]))
    return [(best, other) for other in beside if other is not best]

"""The verdicts that docs/results.md's own figures have by the present classes. Trains nothing.

    python benchmarks/reread_results.py [PAGE]

The page prints three digits of each number and its 95 % interval, from which the standard error
follows by Student's distribution, and the region; both are taken as they stand there. The gain of
decay is not among them, so no row can come out as "not asked here" here.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from scipy.stats import t

from unyoke.study.claims.claim import Claim, Measurement, Region
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.verdicts import judge
from unyoke.study.statistics import Interval

SECTION = re.compile(r"^### (\S+), (\S+): .*?$(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)


def read(page: str) -> Iterator[tuple[str, Claim, str]]:
    """Task, claim with what the page measured, and the page's verdict, of each drawn row."""
    seeds = {
        (task, name): int(found[1])
        for name, task, text in SECTION.findall(page)
        if (found := re.search(r"(\d+) seeds", text))
    }
    for line in page.splitlines():
        columns = [column.strip() for column in line.split("|")]
        name = re.match(r"`(.+?)`", columns[2]) if len(columns) == 9 else None
        if name is None or (columns[1], name[1]) not in seeds:
            continue
        measurement = _measurement(columns[3], columns[4], seeds[columns[1], name[1]])
        yield columns[1], _claim(name[1], _region(columns[5]), measurement), columns[7]


def _claim(name: str, region: Region, measurement: Measurement) -> Claim:
    return Claim(name, "", "", "", region, "", (), (), lambda maps: measurement)


def _region(text: str) -> Region:
    scale = 100 if "%" in text else 1
    if "…" in text:
        low, high = (_figure(end) / scale for end in text.split("…"))
        return Region(low, high)
    end = _figure(text.strip("<> ")) / scale
    return Region(low=end) if text.startswith(">") else Region(high=end)


def _measurement(number: str, interval: str, seeds: int) -> Measurement:
    scale = 100 if "%" in number else 1
    low, high = (_figure(end) / scale for end in interval.split("…"))
    standard_error = (high - low) / 2 / float(t.ppf(0.975, seeds - 1))
    return Measurement(Interval(_figure(number) / scale, standard_error, low, high), seeds)


def _figure(text: str) -> float:
    return float(text.replace("−", "-").replace("%", ""))


def main() -> None:
    """Print how many rows changed from which verdict to which, and each row's present one."""
    page = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/results.md")
    rows = list(read(page.read_text(encoding="utf-8")))
    answers = judge((task, claim, Maps({}, {}, {})) for task, claim, _ in rows)
    moves = Counter((before, row.verdict) for (*_, before), row in zip(rows, answers, strict=True))
    for (before, after), count in moves.most_common():
        print(f"{count:4} {before} → {after}")
    for row in answers:
        print(f"{row.task} {row.claim.name}: {row.verdict}")


if __name__ == "__main__":
    main()

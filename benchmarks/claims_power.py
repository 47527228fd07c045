"""How many seeds would decide each row of the claims, from the spread in finished ledgers.

    python benchmarks/claims_power.py FOLDER [verdict]

FOLDER is an `--out` of `unyoke claims`: its ledgers are read as they are, whatever the plan says
today. Prints a line for each row of one verdict, `undecided` where none is named: its number, how
many seeds it has, the spread of one seed, and how many would decide it with probability 80 %
(`unyoke.study.claims.power`).
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from pathlib import Path

from unyoke.study.claims import catalogue
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.plan import STUDIES
from unyoke.study.claims.power import seeds_needed
from unyoke.study.claims.verdicts import judge
from unyoke.study.ledger.ledger import FILE_NAME, Ledger


def maps_in(folder: Path) -> dict[str, Maps]:
    """The maps of each task whose ledgers lie in a folder."""
    found = {}
    for task in sorted(path for path in folder.iterdir() if path.is_dir()):
        folders = {study: task / study for study in STUDIES if (task / study / FILE_NAME).exists()}
        plans = {}
        for study, place in folders.items():
            with Ledger.open_to_read(place) as ledger:
                plans[study] = ledger.landscape
        if folders:
            found[task.name] = Maps.read(folders, plans, {})
    return found


def main(folder: Path, verdict: str) -> None:
    rows = judge(
        (task, claim, maps)
        for task, maps in maps_in(folder).items()
        for claim in catalogue.claims(task)
        if claim.studies and maps.sources.keys() >= set(claim.studies)
    )
    asked = Counter(row.claim.name for row in rows)
    print(Counter(row.verdict for row in rows))
    columns = ("task", "row", "number", "seeds", "spread of a seed", "seeds needed")
    print(f"| {' | '.join(columns)} |")
    print("|---" * len(columns) + "|")
    for row in rows:
        measured = row.measurement
        if row.verdict != verdict or measured is None:
            continue
        needed = seeds_needed(row.claim, measured, asked[row.claim.name])
        spread = measured.number.standard_error * math.sqrt(measured.samples)
        print(
            f"| {row.task} | {row.claim.name} | {measured.number.value:.3f} | {measured.samples} | "
            f"{spread:.2f} | {needed:.0f} |"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), (sys.argv[2:] or ["undecided"])[0])

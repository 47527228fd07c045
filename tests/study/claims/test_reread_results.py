"""What docs/claims.md says of the second reading is what the script prints."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[3]
CLASSES = ("held", "smaller than notable", "no difference", "contradicted", "undecided")


def test_the_table_is_what_the_script_prints() -> None:
    words = [sys.executable, "benchmarks/reread_results.py"]
    printed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    moves = Counter(
        {
            (before.removesuffix(" at this scale"), after): int(count)
            for count, before, after in re.findall(r"^ *(\d+) (.+) → (.+)$", printed, re.MULTILINE)
        }
    )
    text = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    for before in ("held", "did not hold", "undecided"):
        counts = [moves[before, after] for after in CLASSES]
        cells = " | ".join(str(count) if count else "" for count in counts)
        line = f"| {before}, {sum(counts)} | {cells} |"
        assert re.sub(" +", " ", line) in re.sub(" +", " ", text)

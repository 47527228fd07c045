"""What the ledger costs per cell, how long a report of many takes, and how fast its page is.

    python benchmarks/report.py [trainings]

Makes up a ledger of about 100,000 trainings (8 optimizers, 3 schedules, 5 budgets, 3 seeds,
17 × 17 cells), writes its report in a process of its own, and prints the seconds, the sizes, and,
where Chromium is installed, how long the page takes to open and to show another tab.
"""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from unyoke.study.landscape.axes import parse_axis
from unyoke.study.landscape.landscape import Axes, Cell, Landscape, TaskReference
from unyoke.study.landscape.outcome import CurvePoint, Outcome
from unyoke.study.ledger.ledger import Ledger

OPTIMIZERS = ("Adam", "AdamW", "SGD", "SGDW", "LionW", "NAdamW", "AMSGradW", "RMSpropW")
TURN = """<script>
const opened = performance.now();
document.querySelectorAll('[role="tab"]')[1].click();
document.body.getBoundingClientRect();
document.body.append(Object.assign(document.createElement("output"), { textContent:
  JSON.stringify([opened, performance.now() - opened]) }));
</script></body>"""


def landscape() -> Landscape:
    """The question."""
    axes = Axes(parse_axis("2^-15:2^1", "lr"), parse_axis("0,2^-15:2^0", "weight decay"))
    return Landscape(
        task=TaskReference("made up", "0"),
        axes=dict.fromkeys(OPTIMIZERS, axes),
        schedules=("cosine", "constant", "step_drops"),
        updates=(100, 200, 400, 800, 1600),
        seeds=(0, 1, 2),
    )


def outcome(cell: Cell, noise: random.Random) -> Outcome:
    """A basin with noise, and a curve of 16 evaluations."""
    decay = math.log2(cell.weight_decay) if cell.weight_decay else -20
    height = (math.log2(cell.lr) + 7) ** 2 + (decay + 8) ** 2
    error = 0.08 + 0.01 * min(40.0, height) + noise.gauss(0, 0.004)
    curve = tuple(
        CurvePoint(
            cell.updates * point // 16, error + 2 / point, error + 1 / point, error + 1 / point
        )
        for point in range(1, 17)
    )
    figures = (error, error, error, error, 0.009)
    return Outcome("finished", cell.updates, *figures, 899, "%", 1.0, curve)


def fill(folder: Path, trainings: int) -> float:
    """Record made-up outcomes of the first `trainings` cells; the ledger's seconds per cell.

    Each is claimed and recorded by itself, which is the dearest way.
    """
    noise = random.Random(0)
    outcomes = [outcome(cell, noise) for cell in islice(landscape().cells(), trainings)]
    with Ledger.open_to_write(folder, landscape()) as ledger:
        started = time.perf_counter()
        for result, cell in zip(outcomes, iter(ledger.claim, None), strict=False):
            ledger.record(cell, result, '{"unyoke": "0"}')
        return (time.perf_counter() - started) / trainings


def in_browser(page: Path) -> None:
    """Print how long the page needs to open and to show another tab."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("chromium is not installed: the page was not opened")
        return
    turned = page.with_name("turned.html")
    turned.write_text(page.read_text().replace("</body>", TURN))
    flags = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={page.parent}/profile",
    )
    command = [chromium, *flags, "--dump-dom", turned.as_uri()]
    document = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"<output>(.*?)</output>", document)
    assert found is not None, "the page did not finish"
    opened, turn = json.loads(found.group(1))
    print(f"page: opens in {opened / 1000:.2f} s, another tab in {turn / 1000:.2f} s")


def main(trainings: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        seconds = fill(folder, trainings)
        print(f"ledger: {1000 * seconds:.2f} ms for each cell, claimed and recorded one by one")
        program = "import sys; from unyoke.cli import main; main(sys.argv[1:])"
        started = time.perf_counter()
        report = [sys.executable, "-c", program, "report", str(folder)]
        printed = subprocess.run(report, capture_output=True, text=True, check=True).stdout
        print(printed.splitlines()[0])
        print(f"unyoke report: {time.perf_counter() - started:.1f} s, imports included")
        for file in sorted(folder.iterdir()):
            print(f"  {file.name:16} {file.stat().st_size / 1e6:7.1f} MB")
        in_browser(folder / "report.html")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)

"""Stories at random, told to an optimizer and to its definition; what differs is printed.

    python benchmarks/fuzz.py --sequences 20000 --seed 1
    python benchmarks/fuzz.py --story 'Story(settings=…, acts=…)'

A story is what a program may do with a model and its optimizer: steps, gradients of all kinds,
casts, moves, edits of the state, checkpoints that are whole, damaged or torch's, numbers written
into groups, memory taken away; tests/fuzz has the acts. Each is told to an optimizer of the story's
backend and to an eager one, in the same formats or in float64, and after each act the two are
compared. Stories are told by the hundred in processes of their own, in which glibc checks the heap
and fills memory that is freed; a process that dies is a finding, with the story that it was at.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fuzz"))

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from story import Story, pool, stories
from telling import Difference, tell

BATCH = 500
COMBINATIONS = 9
"""Combinations of parts and formats to a batch; making their kernels takes longer than stories."""

HEAP = {
    "GLIBC_TUNABLES": "glibc.malloc.check=3",
    "MALLOC_PERTURB_": "165",
    "LD_PRELOAD": "libc_malloc_debug.so.0",  # where glibc ≥ 2.34 keeps the checks
}


def tell_batch(number: int, first_seed: int, sequences: int, place: Path) -> None:
    """Tell one batch's stories, and write down the one that is being told, then the results."""
    torch.set_num_threads(1)
    counts: collections.Counter[str] = collections.Counter()
    found: dict[str, tuple[Story, Difference]] = {}

    @seed(first_seed * 1_000_003 + number)
    @settings(
        max_examples=sequences,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(stories(pool(first_seed, number * COMBINATIONS, COMBINATIONS)))
    def run(story: Story) -> None:
        (place / "story").write_text(repr(story))
        result = tell(story)
        if not isinstance(result, Difference):
            counts[result] += 1
            return
        counts[f"DIFFERENCE: {result.kind}"] += 1
        before = found.get(result.kind)
        if before is None or len(story.acts) < len(before[0].acts):
            found[result.kind] = story, result

    run()
    shortest = [shortened(*each) for each in found.values()]
    results = {"counts": counts, "found": [[repr(s), d.kind, d.details] for s, d in shortest]}
    (place / "results").write_text(json.dumps(results))


def shortened(story: Story, result: Difference) -> tuple[Story, Difference]:
    """The same difference by fewer acts: those that can be left out are."""
    acts = list(story.acts[: result.at + 1])
    for at in reversed(range(len(acts))):
        fewer = Story(story.settings, tuple(acts[:at] + acts[at + 1 :]))
        again = tell(fewer)
        if isinstance(again, Difference) and again.kind == result.kind:
            acts, result = list(fewer.acts), again
    return Story(story.settings, tuple(acts)), result


def run_batch(number: int, first_seed: int, sequences: int) -> tuple[dict[str, Any], bool]:
    """One batch in a process of its own; its results, and whether its heap was checked."""
    with tempfile.TemporaryDirectory() as folder:
        own = [str(number), str(first_seed), str(sequences), folder]
        command = [sys.executable, "-X", "faulthandler", __file__, "--batch", *own]
        ended = subprocess.run(
            command, env={**os.environ, **HEAP}, capture_output=True, text=True, check=False
        )
        checked = "cannot be preloaded" not in ended.stderr
        if ended.returncode == 0:
            return json.loads((Path(folder) / "results").read_text()), checked
        told = Path(folder) / "story"
        story = told.read_text() if told.exists() else "before the first story"
        kind = f"the process ended with {ended.returncode}"
        found = [story, kind, ended.stderr[-1500:]]
        return {"counts": {f"DIFFERENCE: {kind}": 1}, "found": [found]}, checked


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sequences", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--story", help="tell one story, as it was printed")
    parser.add_argument("--batch", nargs=4, help=argparse.SUPPRESS)
    given_ = parser.parse_args()
    if given_.batch:
        number, first_seed, sequences, folder = given_.batch
        tell_batch(int(number), int(first_seed), int(sequences), Path(folder))
        return 0
    if given_.story:
        torch.set_num_threads(1)
        result = tell(eval(given_.story, {"Story": Story}))
        print(result)
        return int(isinstance(result, Difference))
    return run_all(given_.sequences, given_.seed)


def run_all(sequences: int, first_seed: int) -> int:
    counts: collections.Counter[str] = collections.Counter()
    found: dict[str, list[str]] = {}
    started, number, unchecked = time.monotonic(), 0, 0
    while counts.total() < sequences:
        size = min(BATCH, sequences - counts.total())
        results, checked = run_batch(number, first_seed, size)
        number, unchecked = number + 1, unchecked + (not checked)
        counts.update(results["counts"])
        for story, kind, details in results["found"]:
            if kind not in found or len(story) < len(found[kind][0]):
                found[kind] = [story, details]
                print(f"\n{kind}\n    {details}\n    {story}", flush=True)
        print(f"{counts.total()} of {sequences}", end="\r", file=sys.stderr, flush=True)
    print(f"\n{counts.total()} stories, seed {first_seed}, {time.monotonic() - started:.0f} s")
    print(f"glibc checked the heap in {number - unchecked} of {number} processes")
    for word, count in counts.most_common():
        print(f"{count:8} {word}")
    print(f"kinds of differences: {len(found)}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())

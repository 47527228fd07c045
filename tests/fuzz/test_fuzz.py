"""Stories at random: what programs do to an optimizer, told to it and to its definition.

``python benchmarks/fuzz.py`` tells more of them, with glibc's heap checking on. The sample of the
first tier has few combinations of parts and formats, whose kernels are soon made.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from story import Story, pool, stories
from telling import Difference, tell

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"
FEW = [
    {"direction": direction, "decay": "decoupled", **formats, "dtype": "float32"}
    for direction in ("adam", "momentum")
    for formats in (
        {"state_dtype": "float32", "rounding": "nearest"},
        {"state_dtype": "int8", "rounding": "kahan"},
    )
]


@settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(stories(FEW))
def test_a_sample_of_stories(story: Story) -> None:
    result = tell(story)
    assert not isinstance(result, Difference), result


def test_a_difference_is_found() -> None:
    """A twin that is given other numbers is noticed, at the act in which it is."""
    settings_of = {**FEW[0], "backend": "auto", "schedule": "none", "named": True}
    acts = (("train", 0, 0), ("only_one_side", 0, 0), ("step", 0, 0))
    story = Story({**settings_of, "swapping": False, "exact": False}, acts)
    from acts import ACTS

    ACTS["only_one_side"] = lambda side, k, n: side.is_twin or side.weight(0).data.add_(1e-3)
    try:
        result = tell(story)
    finally:
        del ACTS["only_one_side"]
    assert isinstance(result, Difference)
    assert (result.kind, result.at) == ("only_one_side: differs", 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_more_stories_under_a_checked_heap(seed: int) -> None:
    command = [sys.executable, str(PROGRAM), "--sequences", "300", "--seed", str(seed)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-2000:]
    assert "kinds of differences: 0" in ended.stdout


@pytest.mark.parametrize("number", range(len(pool(0, 0, 9))))
def test_pools_are_of_their_seed(number: int) -> None:
    assert pool(0, 0, 9)[number] == pool(0, number, 1)[0]
    assert pool(0, 0, 9)[number] != pool(1, number, 1)[0]


def test_pools_go_through_all_pairs_and_names() -> None:
    from story import pairs

    from unyoke import optimizers

    found = pool(7, 0, len(pairs()) + len(optimizers.ALL))
    assert {each.get("name") for each in found} == {None, *optimizers.ALL}
    assert {(each["direction"], each["decay"]) for each in found if "decay" in each} == {*pairs()}

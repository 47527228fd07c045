"""Stories at random: what programs do to an optimizer, told to it and to its definition.

``python benchmarks/fuzz.py`` tells more of them, with glibc's heap checking on. The sample of the
first tier has few combinations of parts and formats, whose kernels are soon made.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from sides import difference, snapshot
from story import Story, pool, stories
from telling import Difference, tell

import unyoke

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


PLAIN = {
    "state_dtype": "float32",
    "rounding": "nearest",
    "backend": "auto",
    "schedule": "none",
    "named": False,
    "swapping": False,
    "exact": False,
}
BESIDE_FLOAT64 = {**PLAIN, "name": "Adagrad", "dtype": "bfloat16", "exact": True}
TOLD = {
    # An L2 penalty carries the rounding of a bfloat16 weight into the next gradient's square
    "weights beside float64 for four updates": (BESIDE_FLOAT64, [("train", 3, 271)]),
    # torch's state has its weights' dtype, so both sides' checkpoints come from bfloat16 weights
    "torch's state of bfloat16 weights": (BESIDE_FLOAT64, [("load_torch", 1, 507)]),
    # A gradient of inf makes Adadelta's Δ NaN; a block of NaN has no codes to speak of
    "codes in a block of NaN": (
        {**PLAIN, "direction": "adadelta", "decay": "lr_coupled", "state_dtype": "int8"}
        | {"dtype": "float32"},
        [("strange_gradient", 0, 350)],
    ),
    # The update after a cast makes the state anew, so what was done to a tensor of the old one
    # before it cannot be undone; beside float64, which was not cast, it could
    "state that is moved between a cast and an update": (
        {**PLAIN, "direction": "adam", "decay": "decoupled", "backend": "cpu", "schedule": "torch"}
        | {"dtype": "float32", "swapping": True, "exact": True},
        [
            *(("train", 3, 168), ("cast", 3, 312), ("move_state", 5, 735)),
            *(("strange_gradient", 0, 859), ("mend", 4, 303)),
        ],
    ),
}

FAULTS = {
    # A product of shape [1] was taken for that of a stack of models, after other weights had moved
    "a number in a tensor of shape [1]": (
        {**PLAIN, "direction": "nadam", "decay": "decoupled", "rounding": "kahan"}
        | {"dtype": "bfloat16", "named": True},
        [("train", 2, 219), ("edit_state", 3, 160), ("train_once", 4, 137)],
        "told",
    ),
    # The first step asked for lr = 0 before it asked whether lr is a number
    "a rate of None before the first step": (
        {**PLAIN, "direction": "adam", "decay": "lr_coupled", "schedule": "cosine"}
        | {"dtype": "float32"},
        [("write_number", 2, 147), ("train", 0, 293)],
        "with refusals",
    ),
    # torch takes no integer of more than 64 bits
    "a weight decay of 2**70 in a checkpoint": (
        {**PLAIN, "direction": "rmsprop_centered_momentum", "decay": "l2", "state_dtype": "int8"}
        | {"rounding": "kahan", "dtype": "float32", "schedule": "torch", "named": True},
        [("save", 0, 380), ("load", 4, 282), ("train", 4, 141)],
        "told",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_stories_that_found_a_fault(name: str) -> None:
    settings_of, acts, ends = FAULTS[name]
    assert tell(Story(settings_of, tuple(acts))) == ends


@pytest.mark.parametrize("name", TOLD)
def test_stories_in_which_a_comparison_saw_too_much(name: str) -> None:
    settings_of, acts = TOLD[name]
    result = tell(Story(settings_of, tuple(acts)))
    assert result == "told", result


def test_codes_beside_a_block_of_nan_are_compared() -> None:
    """Of the block that is NaN no code is looked at, of its neighbours each."""
    codes = torch.zeros(300, dtype=torch.uint8)
    scales = torch.tensor([1.0, torch.nan, 1.0])
    model = torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(300))])
    optimizer = unyoke.Optimizer(model.parameters(), direction="adadelta")
    weight = model[0]
    optimizer.state[weight] = {"acc_delta": codes, "acc_delta_scale": scales}
    side = SimpleNamespace(weights=[weight], optimizer=optimizer)
    before = snapshot(side)
    codes[128:256] = 9
    assert difference(before, snapshot(side)) is None
    for beside in (127, 256):
        codes[beside] = 9
        assert difference(before, snapshot(side)) is not None
        codes[beside] = 0


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

"""λ from a window, a share or a total decay, and back."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

import unyoke
from unyoke import schedules, timescales


@pytest.mark.parametrize(
    "schedule",
    [schedules.cosine(400), schedules.step_drops(400), schedules.warmup(50, schedules.cosine(350))],
    ids=repr,
)
def test_total_decay_is_what_the_run_takes(schedule: Any) -> None:
    λ = unyoke.total_decay(0.8, schedule=schedule)
    assert timescales.total_decay_of(λ, schedule=schedule) == pytest.approx(0.8)
    weight = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = unyoke.SGDW([weight], lr=0.1, weight_decay=λ, schedule=schedule, backend="eager")
    expected = 1.0
    for t in range(400):
        expected *= 1 - schedule(t) * λ
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    assert weight[0].item() == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx(2.718281828**-0.8, rel=0.01)  # to first order in λ


def test_a_long_schedule_is_summed_at_midpoints() -> None:
    total = timescales.total_eta(schedules.cosine(10_000_000))
    assert total == pytest.approx(5_000_000, rel=1e-6)


def test_there_and_back() -> None:
    λ = unyoke.timescale(epochs=12, batch_size=100, samples=5_000)
    window = timescales.timescale_of(λ, batch_size=100, samples=5_000, run=1_200)
    assert window.epochs == pytest.approx(12)
    assert window.updates == pytest.approx(600)
    assert window.share == pytest.approx(0.5)
    assert unyoke.timescale(share=0.5, run=1_200) == pytest.approx(λ)
    assert unyoke.timescale(share=0.5, schedule=schedules.cosine(1_200)) == pytest.approx(λ)
    norm = timescales.lambda_norm_of(λ, updates=900)
    assert unyoke.normalized(norm, updates=900).at(0, None) == pytest.approx(λ)
    assert timescales.timescale_of(0.0).updates == float("inf")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: unyoke.total_decay(10), "length of the run is not known"),
        (lambda: unyoke.total_decay(10, schedule=schedules.constant()), "length of the run"),
        (lambda: unyoke.total_decay(-1, updates=5), "finite and ≥ 0, not -1"),
        (lambda: unyoke.total_decay(1, updates=0), "integer ≥ 1, not 0"),
        (lambda: unyoke.timescale(), "none of them"),
        (lambda: unyoke.timescale(5, share=0.1), "updates and share"),
        (lambda: unyoke.timescale(epochs=5), "batch_size= and samples="),
        (lambda: unyoke.timescale(share=0.1), "give run="),
        (lambda: unyoke.timescale(0), "finite and > 0, not 0"),
        (lambda: timescales.lambda_norm_of(-1e-3, updates=5), "weight_decay"),
    ],
)
def test_bad_input(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    "λ",
    [
        unyoke.total_decay(10, updates=100),
        unyoke.timescale(updates=20),
        unyoke.timescale(share=0.1, run=200),
        unyoke.timescale(epochs=2, batch_size=10, samples=100),
        unyoke.normalized(1.0, updates=100),
    ],
    ids=repr,
)
def test_a_decay_in_units_of_a_run_is_not_taken_for_torchs_number(λ: Any) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    for make in (unyoke.AdamW, unyoke.decouple(torch.optim.Adam)):
        for optimizer in (
            make([weight], weight_decay=λ),
            make([{"params": weight, "weight_decay": λ}]),
        ):
            for _ in range(3):  # a warning would be an error
                weight.grad = torch.ones(3)
                optimizer.step()
            assert type(optimizer.param_groups[0]["weight_decay"]) is float
            optimizer.load_state_dict(optimizer.state_dict())


def test_the_same_number_written_out_is_still_asked_about() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    with pytest.warns(UserWarning, match="If you meant torch's"):
        unyoke.AdamW([weight], weight_decay=float(unyoke.total_decay(10, updates=100)))


def test_a_decay_in_units_of_a_run_is_stored_as_a_number(tmp_path: Path) -> None:
    group = {"weight_decay": unyoke.total_decay(10, updates=100)}
    torch.save(group, tmp_path / "group.pt")
    assert torch.load(tmp_path / "group.pt", weights_only=True) == {"weight_decay": 0.1}
    assert type(copy.deepcopy(group)["weight_decay"]) is float

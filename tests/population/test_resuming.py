"""A resumed population goes on bit for bit; another's checkpoint is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from population_examples import (
    BATCH,
    ENGINES,
    Noisy,
    assert_equal,
    convolution,
    cubic,
    data,
    dropped,
    favour,
    mlp,
    normed,
)
from saving import put
from torch import nn

import unyoke
from unyoke import schedules
from unyoke.population import Population


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("factory", [normed, dropped, Noisy])
def test_resumed_is_uninterrupted_bit_for_bit(
    engine: str, factory: Callable[[], nn.Module]
) -> None:
    def make() -> Population:
        return Population(
            factory,
            lr=[0.0, 0.01, 0.03, 1e200, 0.05],
            seeds=[0, 1, 2, 0, 1],
            weight_decay=[1e-3, 1e-3, unyoke.normalized(0.01), 1e-3, 1e-3],
            schedule=schedules.cosine(20),
            updates=[20, 5, 20, 20, 20],
            optimizer=unyoke.SGDW,
            engine=engine,
            loss=cubic,
            clip_norm=1e300,
        )

    whole, first, second = make(), make(), make()
    inputs, targets = data()
    whole.train(inputs, targets, batch_size=BATCH)
    first.train(inputs, targets, batch_size=BATCH, updates=9)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert second.updates.tolist() == first.updates.tolist()
    first.train(inputs, targets, batch_size=BATCH)
    second.train(inputs, targets, batch_size=BATCH)
    assert set(whole.diverged) == {3}
    for other in (first, second):
        assert_equal(whole.state_dict(), other.state_dict())


def test_a_checkpoint_keeps_its_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run must not choose anew, and end elsewhere in the last digits."""
    options = {"lr": [0.1, 0.2], "updates": 6}
    first, second = Population(mlp, **options), Population(mlp, **options)
    favour(monkeypatch, "one_by_one")
    first.train(*data(), batch_size=BATCH, updates=3)
    favour(monkeypatch, "stacked")
    second.load_state_dict(first.state_dict())
    second.train(*data(), batch_size=BATCH)
    assert (second.engine, second.reason) == ("one_by_one", first.reason)


def test_a_checkpoint_before_the_first_update() -> None:
    first, second = (Population(mlp, lr=[0.1, 0.2], updates=2, engine=e) for e in ENGINES)
    second.load_state_dict(first.state_dict())
    second.train(*data(), batch_size=BATCH)
    assert second.engine == "one_by_one"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"lr": [0.1, 0.3]}, r"lr is \[0.1, 0.2\], this population's \[0.1, 0.3\]"),
        ({"lr": [0.1]}, "lr is"),
        ({"seeds": 1}, "seeds is"),
        ({"optimizer": unyoke.SGDW}, r"optimizer is \[AdamW\], this population's \[SGDW\]"),
        ({"optimizer": unyoke.Adam}, "optimizer is"),
        ({"betas": (0.5, 0.9)}, "optimizer's options is"),
        ({"clip_norm": 0.5}, "clip_norm is"),
        ({"loss_limit": 7.0}, "loss_limit is"),
        ({"model_factory": convolution}, "weights 0.bias has shape"),
    ],
)
def test_another_populations_checkpoint_is_refused(other: dict[str, Any], message: str) -> None:
    options = {"model_factory": mlp, "lr": [0.1, 0.2], "updates": 6, "engine": "stacked"}
    first, second = Population(**options), Population(**{**options, **other})
    first.train(*data(), batch_size=BATCH, updates=2)
    before = second.state_dict()
    with pytest.raises(ValueError, match=message):
        second.load_state_dict(first.state_dict())
    assert_equal(second.state_dict(), before)
    with pytest.raises(ValueError, match="not a population's checkpoint"):
        second.load_state_dict({})


K = 3
HOSTILE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "an entry is missing": (lambda saved: saved.pop("limits"), "lacks 'limits'"),
    "no settings": (put("settings", value=[1]), "'settings' .* is a list"),
    "a setting of another kind": (put("settings", "lr", value=7), "lr is"),
    "an unknown engine": (put("engine", value="eval"), "engine is 'eval'"),
    "no number of updates": (put("updates", value="x"), "'updates' .* is a str"),
    "true updates": (put("updates", value=True), "'updates' .* is a bool"),
    "updates below 0": (put("updates", value=-5), "updates is -5"),
    "made below 0": (put("made", value=torch.tensor([1, -1, 2])), "made is"),
    "made for others": (put("made", value=torch.ones(2, dtype=torch.int64)), "made has shape"),
    "losses on meta": (
        put("losses", value=torch.zeros(K, device="meta")),
        "losses has shape.*meta",
    ),
    "a model that is not here": (put("active", value=[0, 7]), "models in training"),
    "a model twice": (put("active", value=[0, 0]), "models in training"),
    "a model that is no number": (put("diverged", value={"a": 1}), "diverged"),
    "diverged at no update": (put("diverged", value={1: "x"}), "diverged at update 'x'"),
    "weights that are lists": (put("weights", "0.bias", value=[1.0]), "'0.bias' .* is a list"),
    "too few rows": (lambda saved: halve(saved["weights"], "0.bias"), "has 2 rows"),
    "state with too few rows": (
        lambda saved: halve(saved["state"]["0.bias"], "step"),
        "has 2 rows",
    ),
    "sparse": (lambda saved: sparse(saved["state"]["0.bias"], "exp_avg"), "dense"),
    "on meta": (lambda saved: meta(saved["state"]["0.bias"], "exp_avg"), "on meta"),
    "integers": (lambda saved: whole(saved["state"]["0.bias"], "exp_avg"), "is torch.int64"),
    "state of none": (put("state", "0.bias", value=3), "'state' .* is a int"),
    "state without names": (put("state", "0.bias", value=torch.ones(K)), "'state' .* is a Tensor"),
}


def halve(named: Any, name: str) -> None:
    named[name] = named[name][:2]


def sparse(named: Any, name: str) -> None:
    named[name] = named[name].to_sparse()


def meta(named: Any, name: str) -> None:
    named[name] = named[name].to("meta")


def whole(named: Any, name: str) -> None:
    named[name] = named[name].to(torch.int64)


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_checkpoint_that_nobody_wrote_is_refused_whole(fault: str) -> None:
    """What weights_only lets through is any dictionary of tensors and plain values."""
    change, message = HOSTILE[fault]
    options: Any = {"model_factory": mlp, "lr": [0.1, 0.2, 0.3], "updates": 6, "engine": "stacked"}
    first, second, twin = (Population(**options) for _ in range(3))
    first.train(*data(), batch_size=BATCH, updates=3)
    for each in (second, twin):
        each.train(*data(), batch_size=BATCH, updates=2)
    saved, before = first.state_dict(), second.state_dict()
    change(saved)
    with pytest.raises(ValueError, match=message):
        second.load_state_dict(saved)
    assert_equal(second.state_dict(), before)
    for each in (second, twin):
        each.train(*data(), batch_size=BATCH)
    assert_equal(second.state_dict(), twin.state_dict())

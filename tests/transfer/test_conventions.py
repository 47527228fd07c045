"""convert(): between the conventions of libraries, against the libraries' own updates."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

import unyoke
from unyoke.transfer import CONVENTIONS, TransferError, convert

PAIRS = list(itertools.product(CONVENTIONS, repeat=2))


@pytest.mark.parametrize(("here", "there"), PAIRS, ids=lambda name: str(name))
def test_there_and_back(here: str, there: str) -> None:
    number = convert(0.03, source=here, to=there, lr=0.002, to_lr=0.0005)
    back = convert(number, source=there, to=here, lr=0.0005, to_lr=0.002)
    assert back == pytest.approx(0.03, rel=1e-12)


def test_by_hand() -> None:
    assert convert(0.05, source="torch", lr=3e-4) == pytest.approx(1.5e-5)
    assert convert(0.05, source="optimi-decoupled", to="composer") == 0.05
    assert convert(5e-4, source="torch-sgd", lr=0.1) == pytest.approx(5e-4)
    assert convert(5e-4, source="torch-sgd", lr=0.1, momentum=0.0) == pytest.approx(5e-5)
    assert convert(0.1, source="torch", to="lion", lr=1e-3, to_lr=1e-4) == pytest.approx(1.0)


def trained(make: Any, schedule: Any = None) -> torch.Tensor:
    """Weights after 40 updates on a least-squares problem, in float64."""
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(32, 6, generator=generator, dtype=torch.float64)
    targets = torch.randn(32, generator=generator, dtype=torch.float64)
    weight = torch.nn.Parameter(torch.ones(6, dtype=torch.float64))
    optimizer = make([weight])
    scheduler = None
    if schedule is not None:
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    for _ in range(40):
        optimizer.zero_grad()
        ((inputs @ weight - targets) ** 2).mean().backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return weight.detach()


def ours(number: float, source: str, lr: float, **more: Any) -> torch.Tensor:
    λ = convert(number, source=source, lr=lr)
    return trained(
        lambda params: unyoke.AdamW(
            params, lr=lr, weight_decay=λ, schedule=unyoke.schedules.cosine(40), **more
        )
    )


def test_torch_s_number_gives_torch_s_trajectory() -> None:
    theirs = trained(
        lambda params: torch.optim.AdamW(params, lr=0.02, weight_decay=0.3),
        unyoke.schedules.cosine(40),
    )
    torch.testing.assert_close(ours(0.3, "torch", 0.02), theirs, rtol=1e-10, atol=1e-12)
    assert not torch.allclose(ours(0.2, "torch", 0.02), theirs, rtol=1e-3)


def test_sgd_s_number_gives_its_steady_state() -> None:
    """A weight without gradients of its own shrinks at the same rate, once the buffer is full."""
    λ = convert(0.4, source="torch-sgd", lr=0.001)
    weight = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    theirs = torch.optim.SGD([weight], lr=0.001, momentum=0.9, weight_decay=0.4)
    shrunk = []
    for _ in range(300):
        before = weight.item()
        weight.grad = torch.zeros_like(weight)
        theirs.step()
        shrunk.append(1 - weight.item() / before)
    assert shrunk[0] == pytest.approx(λ / 10)
    assert shrunk[-1] == pytest.approx(λ, rel=0.05)  # to first order in λ


def test_timm_s_number_gives_timm_s_trajectory() -> None:
    optim = pytest.importorskip("timm.optim", reason="timm is not installed")
    theirs = trained(
        lambda params: optim.create_optimizer_v2(params, opt="adamw", lr=0.02, weight_decay=0.3),
        unyoke.schedules.cosine(40),
    )
    torch.testing.assert_close(ours(0.3, "timm", 0.02), theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.filterwarnings("ignore:You are using weight_decay up to")
@pytest.mark.parametrize("decoupled", [False, True])
def test_optimi_s_number_gives_optimi_s_trajectory(decoupled: bool) -> None:
    optimi = pytest.importorskip("optimi", reason="optimi is not installed")
    number, name = (0.006, "optimi-decoupled") if decoupled else (0.3, "optimi")
    theirs = trained(
        lambda params: optimi.AdamW(
            params,
            lr=0.02,
            betas=(0.9, 0.999),
            eps=1e-8,
            weight_decay=number,
            decouple_lr=decoupled,
            foreach=False,
        ),
        unyoke.schedules.cosine(40),
    )
    # optimi has ε inside the bias correction, which its first updates show
    torch.testing.assert_close(ours(number, name, 0.02), theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"source": "tensorflow"}, "unknown convention 'tensorflow'.*torch"),
        ({"source": "torhc", "lr": 0.1}, "did you mean torch"),
        ({"source": "torch"}, "multiplies its weight decay by the learning rate.*--lr"),
        ({"source": "torch", "lr": 0.0}, "learning rate 0.0"),
        ({"source": "torch", "lr": float("nan")}, "learning rate nan"),
        ({"weight_decay": -1.0, "source": "unyoke"}, "weight decay -1.0"),
        ({"source": "torch-sgd", "lr": 0.1, "momentum": 1.0}, "momentum 1.0"),
    ],
)
def test_bad_input_is_one_line(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(TransferError, match=words) as caught:
        convert(**{"weight_decay": 0.05, **arguments})
    assert "\n" not in str(caught.value)

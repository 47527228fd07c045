"""What each library's ``weight_decay`` is multiplied with, and the number of one in another.

A convention is one factor: the paper's λ, what one update takes of a weight at η = 1, is
``factor·weight_decay``. The factor is 1, the learning rate, or, for SGD with L2, the learning rate
over 1 − momentum. Each was read in the library's source, at the version named.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from unyoke.transfer.run import TransferError

Factor = Callable[[float, float], float]


def one(lr: float, momentum: float) -> float:
    """The decay is per update already."""
    return 1.0


def per_learning_rate(lr: float, momentum: float) -> float:
    """The library multiplies its weight decay by the learning rate."""
    return lr


def steady_state(lr: float, momentum: float) -> float:
    """L2 in the gradient of SGD with momentum: lr/(1 − momentum), once the buffer has filled.

    A constant penalty gradient g is summed by the buffer to g/(1 − momentum).
    """
    return lr / (1.0 - momentum)


@dataclass(frozen=True)
class Convention:
    """How one library counts weight decay.

    Attributes:
        name: for ``--from`` and ``--to``.
        what: the class or argument.
        factor: ``(lr, momentum)`` → what to multiply its number with to have the paper's λ.
        source: where the factor was read.
        exact: whether the updates are equal; else only the steady state is.
    """

    name: str
    what: str
    factor: Factor
    source: str
    exact: bool = True

    @property
    def uses_lr(self) -> bool:
        """Whether the number depends on the learning rate."""
        return self.factor is not one


_ALL = (
    Convention("unyoke", "unyoke's weight_decay (decay='decoupled')", one, "the paper, Alg. 1, 2"),
    Convention(
        "unyoke-lr_coupled", "unyoke with decay='lr_coupled'", per_learning_rate, "unyoke.decays"
    ),
    Convention(
        "torch", "torch.optim.AdamW", per_learning_rate, "torch 2.13, optim/adam.py: 1 − lr·wd"
    ),
    Convention(
        "torch-sgd",
        "torch.optim.SGD (L2)",
        steady_state,
        "torch 2.13, optim/sgd.py; the paper, Proposition 1",
        exact=False,
    ),
    Convention("timm", "timm's adamw", per_learning_rate, "timm 1.0.31, optim/adamw.py: 1 − lr·wd"),
    Convention(
        "hf",
        "Hugging Face TrainingArguments",
        per_learning_rate,
        "transformers 5.24, which makes torch's AdamW",
    ),
    Convention(
        "optax",
        "optax.adamw",
        per_learning_rate,
        "optax 0.2.8, add_decayed_weights before scale_by_learning_rate",
    ),
    Convention(
        "keras",
        "keras.optimizers.AdamW",
        per_learning_rate,
        "keras 3.15, base_optimizer.py: variable·wd·lr",
    ),
    Convention("optimi", "optimi.AdamW", per_learning_rate, "optimi 0.3.3, adam.py: 1 − lr·wd"),
    Convention(
        "optimi-decoupled",
        "optimi.AdamW(decouple_lr=True)",
        one,
        "optimi 0.3.3, adam.py: 1 − (lr/max_lr)·wd",
    ),
    Convention(
        "composer",
        "Composer's DecoupledAdamW and DecoupledSGDW",
        one,
        "Composer 0.32, decoupled_weight_decay.py: 1 − (lr/initial_lr)·wd",
    ),
    Convention(
        "lion",
        "Lion of timm, optax and its authors",
        per_learning_rate,
        "timm 1.0.31, optim/lion.py: 1 − lr·wd",
    ),
)

CONVENTIONS: Mapping[str, Convention] = MappingProxyType({each.name: each for each in _ALL})
"""Every convention by its name."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "ours": "unyoke",
        "paper": "unyoke",
        "huggingface": "hf",
        "transformers": "hf",
        "pytorch": "torch",
        "sgd": "torch-sgd",
    }
)


def get(name: str) -> Convention:
    """The convention of that name.

    Raises:
        TransferError: there is none; the message lists them.
    """
    found = CONVENTIONS.get(ALIASES.get(name.lower(), name.lower()))
    if found is None:
        near = difflib.get_close_matches(name.lower(), CONVENTIONS, n=1)
        raise TransferError(
            f"unknown convention {name!r}: "
            + (f"did you mean {near[0]}? " if near else "")
            + f"there are {', '.join(CONVENTIONS)}"
        )
    return found


def convert(
    weight_decay: float,
    *,
    source: str,
    to: str = "unyoke",
    lr: float | None = None,
    to_lr: float | None = None,
    momentum: float = 0.9,
) -> float:
    """The number under which ``to`` takes what ``source`` takes with ``weight_decay``.

    λ = factor_source(lr)·weight_decay ;  result = λ/factor_to(to_lr)

    Args:
        weight_decay: in the units of ``source``.
        source: a name in `CONVENTIONS`.
        to: another; without one the paper's λ, as unyoke takes it.
        lr: the peak learning rate; needed where a library multiplies by it.
        to_lr: the learning rate on the other side, if it is another (Lion's is 3 to 10 times
            smaller than AdamW's).
        momentum: for ``torch-sgd``.

    Raises:
        TransferError: an unknown name, a missing learning rate, or a number out of its range.

    >>> f"{convert(1.5e-5, source='unyoke', to='optax', lr=3e-4):.4g}"
    '0.05'
    >>> f"{convert(0.1, source='torch', to='lion', lr=1e-3, to_lr=1e-4):.4g}"
    '1'
    """
    if not 0.0 <= weight_decay < math.inf:
        raise TransferError(f"weight decay {weight_decay!r}: it must be a finite number ≥ 0")
    if not 0.0 <= momentum < 1.0:
        raise TransferError(f"momentum {momentum!r}: it must lie in [0, 1)")
    here, there = get(source), get(to)
    taken = weight_decay * _factor(here, lr, momentum)
    return taken / _factor(there, lr if to_lr is None else to_lr, momentum)


def _factor(convention: Convention, lr: float | None, momentum: float) -> float:
    if not convention.uses_lr:
        return 1.0
    if lr is None:
        raise TransferError(
            f"{convention.what} multiplies its weight decay by the learning rate: give the peak "
            "learning rate too (--lr)"
        )
    if not 0.0 < lr < math.inf:
        raise TransferError(f"learning rate {lr!r}: it must be a finite number > 0")
    return convention.factor(lr, momentum)

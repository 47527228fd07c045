"""Optimizers for PyTorch with decoupled weight decay, exactly as the paper defines it.

    θ_t = θ_{t−1} − step(g_t; α·η_t) − η_t·λ·pull(θ_{t−1})

Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
"""

import importlib
from typing import TYPE_CHECKING, Any

from unyoke import compat

if TYPE_CHECKING:
    from unyoke import decays, directions, groups, optimizers, schedules, transfer
    from unyoke.decays import normalized
    from unyoke.interchange.convert import from_torch, to_torch
    from unyoke.interchange.decoupling import decouple
    from unyoke.monitoring import monitor
    from unyoke.optimizer import Optimizer
    from unyoke.optimizers import (
        SGD,
        SGDW,
        AdaBayes,
        AdaBayesFP,
        Adadelta,
        AdadeltaW,
        Adagrad,
        AdagradW,
        Adam,
        Adamax,
        AdamaxW,
        AdamW,
        AMSGrad,
        AMSGradW,
        LambW,
        LarsW,
        Lion,
        LionW,
        Muon,
        MuonW,
        NAdam,
        NAdamW,
        NDAdam,
        RAdam,
        RAdamW,
        RMSprop,
        RMSpropW,
    )
    from unyoke.releasing import release
    from unyoke.timescales import timescale, total_decay

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "SGDW",
    "AMSGrad",
    "AMSGradW",
    "AdaBayes",
    "AdaBayesFP",
    "Adadelta",
    "AdadeltaW",
    "Adagrad",
    "AdagradW",
    "Adam",
    "AdamW",
    "Adamax",
    "AdamaxW",
    "LambW",
    "LarsW",
    "Lion",
    "LionW",
    "Muon",
    "MuonW",
    "NAdam",
    "NAdamW",
    "NDAdam",
    "Optimizer",
    "RAdam",
    "RAdamW",
    "RMSprop",
    "RMSpropW",
    "decays",
    "decouple",
    "directions",
    "from_torch",
    "groups",
    "monitor",
    "normalized",
    "optimizers",
    "release",
    "schedules",
    "timescale",
    "to_torch",
    "total_decay",
    "transfer",
]

compat.install()

_MODULES = {"decays", "directions", "groups", "optimizers", "schedules", "transfer"}

_HOMES = {
    "Optimizer": "unyoke.optimizer",
    "decouple": "unyoke.interchange.decoupling",
    "from_torch": "unyoke.interchange.convert",
    "monitor": "unyoke.monitoring",
    "normalized": "unyoke.decays",
    "release": "unyoke.releasing",
    "timescale": "unyoke.timescales",
    "total_decay": "unyoke.timescales",
    "to_torch": "unyoke.interchange.convert",
}
"""Where the public names are that are not optimizers."""


def __getattr__(name: str) -> Any:
    """A public name or a module, imported when it is asked for.

    So the command line answers at once, and starts its workers before it imports torch itself. No
    module has the name of a function here, or importing the module would take its place.
    """
    if name in _MODULES or name not in __all__:
        return _module(name)
    found = getattr(importlib.import_module(_HOMES.get(name, "unyoke.optimizers")), name)
    globals()[name] = found
    return found


def _module(name: str) -> Any:
    full = f"{__name__}.{name}"
    try:
        return importlib.import_module(full)
    except ModuleNotFoundError as error:
        if error.name != full:
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

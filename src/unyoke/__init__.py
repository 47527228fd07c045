"""Optimizers for PyTorch with decoupled weight decay, exactly as the paper defines it.

    θ_t = θ_{t−1} − step(g_t; α·η_t) − η_t·λ·pull(θ_{t−1})

Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
"""

import importlib
from typing import TYPE_CHECKING, Any

from unyoke import compat

if TYPE_CHECKING:
    from unyoke import decays as decays
    from unyoke import directions as directions
    from unyoke import groups as groups
    from unyoke import optimizers as optimizers
    from unyoke import schedules as schedules
    from unyoke import transfer as transfer
    from unyoke.decays import normalized as normalized
    from unyoke.interchange.convert import from_torch as from_torch
    from unyoke.interchange.convert import to_torch as to_torch
    from unyoke.interchange.decoupling import decouple as decouple
    from unyoke.monitoring import monitor as monitor
    from unyoke.optimizer import Optimizer as Optimizer
    from unyoke.optimizers._names import *  # noqa: F403 - written by `make names`
    from unyoke.releasing import release as release
    from unyoke.timescales import timescale as timescale
    from unyoke.timescales import total_decay as total_decay

__version__ = "0.1.0"

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
    if name == "__all__":
        return sorted({*_MODULES, *_HOMES, *_module("optimizers").ALL})
    if name in _HOMES:
        found = getattr(importlib.import_module(_HOMES[name]), name)
    elif name[:1].isupper() and name in _module("optimizers").ALL:
        found = _module("optimizers").ALL[name]
    else:
        return _module(name)
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
    return sorted({*globals(), *__getattr__("__all__")})

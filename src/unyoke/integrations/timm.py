"""unyoke's optimizers in timm's factory."""

from __future__ import annotations

import importlib
import inspect

from unyoke import optimizers

PREFIX = "unyoke"
"""In front of each name; timm takes what stands before an underscore for something else."""


def register() -> tuple[str, ...]:
    """Make every named optimizer known to timm as ``opt="unyokeadamw"``, ``"unyokesgdw"``, ….

    So training scripts take them by ``--opt``, with timm's own parameter groups, layer decay,
    ``lookahead_`` and schedulers. ``weight_decay`` is λ there, per update and not multiplied by the
    learning rate: ``unyoke convert 0.05 --from timm --lr 1e-3``.

    Returns:
        The names, in timm's spelling.

    Raises:
        ImportError: timm is not installed.
    """
    factory = importlib.import_module("timm.optim._optim_factory")
    known = set(importlib.import_module("timm.optim").list_optimizers())
    names = []
    for name, made in optimizers.ALL.items():
        parameters = inspect.signature(made).parameters
        info = factory.OptimInfo(
            name=f"{PREFIX}{name.lower()}",
            opt_class=made,
            description=f"unyoke.{name}: {optimizers.names()[name]}",
            has_eps="eps" in parameters,
            has_momentum="momentum" in parameters,
            has_betas="betas" in parameters,
        )
        if info.name not in known:
            factory.default_registry.register(info)
        names.append(info.name)
    return tuple(names)

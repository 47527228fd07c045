"""Muon, for matrices."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import torch

from unyoke.optimizers.named import Forms, Named, Options, Params, Rate, WeightDecay


class MuonLike(Named):
    """The constructor of Muon and MuonW; ``nesterov`` is torch's word for a direction."""

    forms: ClassVar[Forms] = {"muon": {"nesterov": True}, "muon_momentum": {"nesterov": False}}
    words = ("nesterov",)

    def __init__(
        self,
        params: Params,
        lr: Rate = 1e-3,
        weight_decay: WeightDecay = 1e-4,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        ns_dtype: torch.dtype | str = "bfloat16",
        **options: Unpack[Options],
    ) -> None:
        own: dict[str, Any] = {
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": "original" if adjust_lr_fn is None else adjust_lr_fn,
            "ns_dtype": str(ns_dtype).removeprefix("torch."),
        }
        super().__init__(params, lr, weight_decay, **own, **options)


class MuonW(MuonLike, direction="muon"):
    """Muon with decoupled weight decay, for matrices.

        b_t = momentum·b_{t−1} + (1 − momentum)·g_t
        b̃_t = momentum·b_t + (1 − momentum)·g_t, without nesterov b_t
        θ_t = θ_{t−1} − lr_t·c·NS(b̃_t) − η_t·weight_decay·θ_{t−1}

    NS makes ns_steps Newton–Schulz steps X ← aX + (bA + cA²)X, A = XXᵀ, (a, b, c) =
    ns_coefficients, from b̃_t/max(‖b̃_t‖, eps), in ns_dtype; c depends on adjust_lr_fn.
    Matrices of one shape go through the steps together, as a stack.
    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: real matrices; give other parameters to an optimizer of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        weight_decay: λ ≥ 0, per update: multiplied by η_t, **not by lr**. A number, a tensor,
            :func:`unyoke.normalized`, or a function of t.
            The default is torch's 0.1 at lr = 1e-3.
        momentum: μ in [0, 1].
        nesterov: look ahead along the buffer.
        ns_coefficients: three numbers.
        eps: ≥ 0, the least norm that is divided by.
        ns_steps: an integer from 0 to 99.
        adjust_lr_fn: c: ``None`` or ``"original"``, √max(1, rows/columns);
            ``"match_rms_adamw"``, 0.2·√max(rows, columns); ``"spectral_unclamped"``,
            √(rows/columns).
        ns_dtype: of the Newton–Schulz steps of weights up to float32: ``"bfloat16"``, as in
            torch, or ``"float32"``.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, no parameters, or a parameter that
            is not a real matrix.
        TypeError: an argument that this optimizer does not have.

    Source: Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024; Liu et al.,
    arXiv 2502.16982, section 2.2, for ``"match_rms_adamw"``; the decay is Loshchilov & Hutter's.

    Departures: float64 weights are orthogonalized in float64, where torch has bfloat16.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 3, bias=False)
    >>> optimizer = unyoke.MuonW(model.parameters(), lr=0.02, weight_decay=1e-4)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """


class Muon(MuonLike, direction="muon", decay="lr_coupled", weight_decay=0.1):
    """Muon as in torch, for matrices: its decay is multiplied by the learning rate.

        b_t = momentum·b_{t−1} + (1 − momentum)·g_t
        b̃_t = momentum·b_t + (1 − momentum)·g_t, without nesterov b_t
        θ_t = θ_{t−1} − lr_t·(c·NS(b̃_t) + weight_decay·θ_{t−1})

    NS makes ns_steps Newton–Schulz steps X ← aX + (bA + cA²)X, A = XXᵀ, (a, b, c) =
    ns_coefficients, from b̃_t/max(‖b̃_t‖, eps), in ns_dtype; c depends on adjust_lr_fn.
    Matrices of one shape go through the steps together, as a stack.
    lr_t = lr·η_t is the learning rate of update t, and η_t the schedule's multiplier.

    Args:
        params: real matrices; give other parameters to an optimizer of their own.
        lr: α ≥ 0, the peak learning rate: a number, or a tensor that is updated in place.
        weight_decay: λ ≥ 0, multiplied by the learning rate lr_t.
        momentum: μ in [0, 1].
        nesterov: look ahead along the buffer.
        ns_coefficients: three numbers.
        eps: ≥ 0, the least norm that is divided by.
        ns_steps: an integer from 0 to 99.
        adjust_lr_fn: c: ``None`` or ``"original"``, √max(1, rows/columns);
            ``"match_rms_adamw"``, 0.2·√max(rows, columns); ``"spectral_unclamped"``,
            √(rows/columns).
        ns_dtype: of the Newton–Schulz steps of weights up to float32: ``"bfloat16"``, as in
            torch, or ``"float32"``.
        options: decay, schedule, backend, state_dtype, rounding, seed, maximize, differentiable and
            capturable, as for :class:`unyoke.Optimizer`; foreach and fused are torch's words and
            change nothing.

    Raises:
        ValueError: a number out of its range, an unknown name, no parameters, or a parameter that
            is not a real matrix.
        TypeError: an argument that this optimizer does not have.

    Source: Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024; Liu et al.,
    arXiv 2502.16982, section 2.2, for ``"match_rms_adamw"``; torch.optim.Muon.

    Departures: float64 weights are orthogonalized in float64, where torch has bfloat16.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 3, bias=False)
    >>> optimizer = unyoke.Muon(model.parameters(), lr=0.02)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> optimizer.step()
    """

r"""A direction and an optimizer of one's own: one formula, every decay, format and backend.

    python examples/custom_direction.py
    unyoke map --optimizers examples/custom_direction.py:SignAverageW \
        --lr 2^-12:2^-5 --weight-decay 0,2^-10:2^-2

The direction moves every weight by the sign of an average of its gradients, as Signum does, but by
less where gradient and average disagree. From the formula follow checkpoints, 8-bit state, careful
rounding, the compiled kernels and the checks of its hyperparameters.
"""

import torch

import unyoke
from unyoke.equation import direction
from unyoke.optimizers import Named
from unyoke.primitives import sign, where


@direction(
    state=("exp_avg",),
    coefficients=lambda lr, beta, doubt: {
        "keep": beta,
        "new": 1.0 - beta,
        "size": lr,
        "less": lr * doubt,
    },
    defaults={"beta": 0.9, "doubt": 0.5},
)
def sign_average(grad, exp_avg, keep, new, size, less):
    """m_t = β·m_{t−1} + (1 − β)·g_t ;  step = α·η_t·sign(m_t), times doubt where g_t·m_t < 0."""
    exp_avg = keep * exp_avg + new * grad
    return where(exp_avg * grad < 0, less, size) * sign(exp_avg), exp_avg


class SignAverageW(Named, direction=sign_average, lr=1e-3):
    """Signs of averaged gradients, halved in doubt, with decoupled weight decay."""


def main(updates: int = 300) -> float:
    """Train with 8-bit state, print what the decay amounts to, and return the last loss."""
    torch.manual_seed(0)
    inputs = torch.randn(256, 32)
    targets = inputs @ torch.randn(32, 1)
    model = torch.nn.Sequential(torch.nn.Linear(32, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1))
    cosine = unyoke.schedules.cosine(updates)
    optimizer = SignAverageW(
        model.parameters(), doubt=0.25, weight_decay=1e-4, schedule=cosine, state_dtype="int8"
    )
    print(optimizer)
    for _ in range(updates):
        loss = (model(inputs) - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"loss {loss.item():.4f} after {updates} updates")
    return loss.item()


if __name__ == "__main__":
    main()

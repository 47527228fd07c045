"""What programs do between and around the steps of an optimizer, legal or not.

Each act changes one side of a story: the optimizer that is tested, or the one it is compared with.
Random numbers are drawn in float64 and rounded to the weight's dtype, so both sides get the same.
"""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable
from typing import Any

import torch
from moving import swapping
from sides import Side
from torch import nn

Undo = Callable[[], object]


def train(side: Side, k: int, n: int) -> None:
    """Some steps with ordinary gradients for all parameters."""
    for step in range(1 + n % 4):
        train_once(side, k, n + step)


def train_once(side: Side, k: int, n: int) -> None:
    """One step with ordinary gradients for all parameters."""
    for number, weight in enumerate(side.weights):
        if weight.requires_grad:
            weight.grad = side.numbers(weight, n + 1000 * number)
    side.step()


def step(side: Side, k: int, n: int) -> None:
    for _ in range(1 + n % 3):
        side.step()


def strange_gradient(side: Side, k: int, n: int) -> None:
    """One parameter's gradient is special, then a step."""
    weight = side.weight(k)
    if weight.requires_grad:
        weight.grad = GRADIENTS[n % len(GRADIENTS)](side, weight, n)
    side.step()


def _filled(value: float) -> Callable[[Side, Any, int], torch.Tensor]:
    def make(side: Side, weight: Any, n: int) -> torch.Tensor:
        grad = side.numbers(weight, n)
        if grad.numel():
            grad.view(-1)[n % grad.numel()] = torch.tensor(value, dtype=side.dtype)
        return grad

    return make


def _huge(side: Side, weight: Any, n: int) -> torch.Tensor:
    """Squares overflow in float32; not where float64 is compared with, in which they do not."""
    return _filled(1e12 if side.settings["exact"] else 1e30)(side, weight, n)


def _gap(side: Side, weight: Any, n: int) -> torch.Tensor:
    wide = side.numbers(weight, n).repeat_interleave(2, dim=-1) if weight.dim() else weight.data
    return wide[..., ::2] if weight.dim() else side.numbers(weight, n)


def _transposed(side: Side, weight: Any, n: int) -> torch.Tensor:
    grad = side.numbers(weight, n)
    return grad.transpose(0, -1).contiguous().transpose(0, -1) if weight.dim() > 1 else grad


def _expanded(side: Side, weight: Any, n: int) -> torch.Tensor:
    return side.numbers(weight, n).flatten()[:1].sum().expand(weight.shape)


def _shared(side: Side, weight: Any, n: int) -> torch.Tensor:
    """The gradient of another parameter of this shape; else the weight itself."""
    others = [
        w.grad
        for w in side.weights
        if w is not weight and w.grad is not None and w.shape == weight.shape
    ]
    found = [g for g in others if g.dtype == weight.dtype and g.device == weight.device]
    return found[0] if found else weight.data


GRADIENTS: list[Callable[[Side, Any, int], Any]] = [
    lambda side, weight, n: side.numbers(weight, n) * 0,
    _filled(math.nan),
    _filled(math.inf),
    _huge,
    lambda side, weight, n: side.numbers(weight, n) * 1e-25,
    lambda side, weight, n: None,
    _expanded,
    _shared,
    lambda side, weight, n: weight.data,
    _transposed,
    _gap,
    lambda side, weight, n: torch._neg_view(side.numbers(weight, n)),
]


def zero_grad(side: Side, k: int, n: int) -> None:
    side.optimizer.zero_grad(set_to_none=bool(n % 2))


def other_data(side: Side, k: int, n: int) -> None:
    """``weight.data`` is replaced: by a copy, other strides, a view with gaps; or shared lazily."""
    weight = side.weight(k)
    data = weight.data.clone()
    how = n % 5
    if how == 1:
        data = _as_transposed(data)
    elif how == 2 and data.dim():
        data = data.repeat_interleave(2, dim=-1)[..., ::2]
    elif how == 3 and not data.is_meta:
        buffer = torch.zeros(data.numel() + 9, dtype=data.dtype)
        data = buffer[9:].view(data.shape).copy_(data)
    elif how == 4:
        side.kept.append(torch._lazy_clone(weight.data))
        return
    weight.data = data


def _as_transposed(data: torch.Tensor) -> torch.Tensor:
    return data.transpose(0, -1).contiguous().transpose(0, -1) if data.dim() > 1 else data


def cast(side: Side, k: int, n: int) -> None:
    """The model is cast; what is compared with in float64 stays there."""
    side.cast((torch.float64, torch.bfloat16, torch.float32, torch.float16)[n % 4])


def lose_memory(side: Side, k: int, n: int) -> None:
    """The model goes to the meta device and comes back with its numbers; in between a step."""
    kept = [weight.detach().clone() for weight in side.weights]
    if any(each.is_meta for each in kept):
        return
    side.optimizer.zero_grad()
    with swapping(True):
        side.model.to("meta")
        try:
            if n % 2:
                for weight in side.weights:
                    weight.grad = torch.ones_like(weight)
                side.step()
        finally:
            side.optimizer.zero_grad()
            side.model.to_empty(device="cpu")
            with torch.no_grad():
                for weight, numbers in zip(side.weights, kept, strict=True):
                    weight.copy_(numbers)


def freeze(side: Side, k: int, n: int) -> None:
    weight = side.weight(k)
    weight.requires_grad_(n % 2 == 0)
    if n % 3:
        weight.grad = None


def exchange(side: Side, k: int, n: int) -> None:
    """Another parameter in the old one's place, in the model and in its group."""
    old = side.weight(k)
    new = nn.Parameter(old.detach().clone() if n % 2 else side.numbers(old, n))
    side.exchange(old, new)


def swap(side: Side, k: int, n: int) -> None:
    """torch.utils.swap_tensors, which refuses where weak references are held."""
    weight = side.weight(k)
    weight.grad = None
    torch.utils.swap_tensors(weight, nn.Parameter(side.numbers(weight, n)))


def edit_state(side: Side, k: int, n: int) -> None:
    """State is cleared, popped, replaced or damaged; an undo is noted for what will be refused."""
    weight = side.weight(k)
    state = side.optimizer.state.get(weight)
    if not state:
        return
    names = sorted(name for name in state if isinstance(state[name], torch.Tensor))
    name = names[(n // 20) % len(names)]
    old = state[name]
    edits: list[Callable[[], Any]] = [
        lambda: state.clear(),
        lambda: side.optimizer.state.pop(weight),
        lambda: old.clone(),
        lambda: old.double() if old.is_floating_point() else old.clone(),
        lambda: old.bfloat16() if old.is_floating_point() and name != "step" else old.clone(),
        lambda: old.to(torch.int64),
        lambda: old.reshape(-1)[:-1].clone() if old.dim() else old.reshape(1),
        lambda: _as_transposed(old.clone()),
        lambda: old.to("meta"),
        lambda: old.tolist(),
        lambda: old.to_sparse() if old.dim() else old.clone(),
        lambda: old.repeat_interleave(2, dim=-1)[..., ::2] if old.dim() else float(old),
        lambda: old.data.requires_grad_(False),
        lambda: None,
    ]
    how = n % len(edits)
    new = edits[how]()
    if how > 1:
        state[name] = new
        side.undo.append(lambda: state.__setitem__(name, old))


def move_state(side: Side, k: int, n: int) -> None:
    """``state[…].data = …``: the same object elsewhere, of another dtype or too short."""
    state = side.optimizer.state.get(side.weight(k)) or {}
    names = sorted(x for x in state if isinstance(state[x], torch.Tensor) and x != "step")
    if not names:
        return
    tensor = state[names[(n // 5) % len(names)]]
    if side.dtype is not side.dtype_of_state:
        return  # the next update makes this state anew on a side that was cast, and undoes nothing
    old = tensor.data
    wide = tensor.double() if tensor.is_floating_point() else tensor.clone()
    short = tensor.reshape(-1)[:1].clone()
    tensor.data = (old.clone(), _as_transposed(old.clone()), wide, short, old.clone())[n % 5]
    side.undo.append(lambda: setattr(tensor, "data", old))


def write_step(side: Side, k: int, n: int) -> None:
    state = side.optimizer.state.get(side.weight(k)) or {}
    if "step" not in state:
        return
    old = state["step"]
    state["step"] = (float(old), int(old) + 1, torch.tensor(3.0), old + 1, old.double())[n % 5]


def mend(side: Side, k: int, n: int) -> None:
    """The last damage is undone, or the state dropped and begun anew."""
    if side.undo:
        side.undo.pop()()
    elif n % 4 == 0:
        side.optimizer.state.pop(side.weight(k), None)


def shrink(side: Side, k: int, n: int) -> None:
    """A storage loses its memory, or a part of it, for one step."""
    weight = side.weight(k)
    state = side.optimizer.state.get(weight) or {}
    tensors = [weight.data, weight.grad, *(state[name] for name in sorted(state))]
    found = [t for t in tensors if isinstance(t, torch.Tensor) and t.layout is torch.strided]
    tensor = found[n % len(found)]
    size, storage = tensor.untyped_storage().nbytes(), tensor.untyped_storage()
    if tensor.is_meta or size == 0 or any(tensor is each for each in side.kept):
        return
    kept = torch.empty(0, dtype=torch.uint8).set_(storage).clone()
    storage.resize_((0, size // 2, size - 1)[(n // 8) % 3])
    try:
        side.step()
    finally:
        storage.resize_(size)
        torch.empty(0, dtype=torch.uint8).set_(storage).copy_(kept)


def save(side: Side, k: int, n: int) -> None:
    file = io.BytesIO()
    torch.save(side.optimizer.state_dict(), file)
    side.saved.append(file.getvalue())


def load(side: Side, k: int, n: int) -> None:
    """A checkpoint of this story: as it was, or damaged."""
    if not side.saved:
        return
    saved = torch.load(io.BytesIO(side.saved[k % len(side.saved)]), weights_only=True)
    if n % 3 == 0:
        _damage(saved, n // 3)
    side.undo.clear()
    side.optimizer.load_state_dict(saved)


def resume(side: Side, k: int, n: int) -> None:
    """Another optimizer, as in another process."""
    side.begin_anew()


def _damage(saved: Any, n: int) -> None:
    group = saved["param_groups"][n % len(saved["param_groups"])]
    entries = [entry for entry in saved["state"].values() if entry]
    entry = entries[n % len(entries)] if entries else {"exp_avg": torch.ones(3)}
    name = sorted(entry)[(n // 7) % len(entry)]
    value = entry[name]
    values = [
        *(math.nan, -1, None, "x", [1.0], torch.ones(2, 2), value.reshape(-1)[:-1]),
        *(value.to(torch.int64), value.double(), value.to("meta"), value.bfloat16()),
    ]
    numbers = [math.nan, -1.0, None, "1e-3", 1e400, [0.1], torch.tensor(math.nan), True, 1 << 70]
    how = n % 6
    if how < 3:
        entry[name] = values[(n // 6) % len(values)]
    elif how == 3:
        del entry[name]
    elif how == 4:
        key = ("lr", "base_lr", "weight_decay", "updates", "seed", "decay", "betas", "eps")[k_of(n)]
        group[key] = numbers[(n // 11) % len(numbers)]
    else:
        saved["state"][("a wrapper's", 99, 0, -1)[n // 6 % 4]] = {"exp_avg": [1, 2]}


def k_of(n: int) -> int:
    return (n // 5) % 8


TORCH = ("AdamW", "SGD", "RMSprop", "Adagrad", "NAdam", "Adamax", "RAdam", "Adadelta")


def load_torch(side: Side, k: int, n: int) -> None:
    """A checkpoint of torch's own optimizer, of this algorithm or of another."""
    if any(weight.is_meta for weight in side.weights):
        return
    # Of the story's dtype on both sides: torch's state is rounded to that of its weights
    weights = [nn.Parameter(weight.detach().to(side.dtype, copy=True)) for weight in side.weights]
    sizes = [len(group["params"]) for group in side.optimizer.param_groups]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    groups = [{"params": weights[e - size : e]} for e, size in zip(ends, sizes, strict=True)]
    theirs = getattr(torch.optim, TORCH[n % len(TORCH)])(groups, lr=1e-3)
    for weight in weights:
        weight.grad = side.numbers(weight, n)
    theirs.step()
    side.undo.clear()
    side.optimizer.load_state_dict(theirs.state_dict())


def add_group(side: Side, k: int, n: int) -> None:
    if len(side.weights) > 8:
        return
    weight = nn.Parameter(side.draw((k + 1, 3), n))
    name = {"params": [(f"new{len(side.weights)}", weight)] if side.named else [weight]}
    wrong: dict[str, Any] = ({"lr": -1.0}, {"lr": 0.03}, {}, {"weight_decay": math.nan})[n % 4]
    side.optimizer.add_param_group({**name, **wrong})
    side.model.append(weight)


def write_number(side: Side, k: int, n: int) -> None:
    """lr or weight_decay is written into a group: a good number, or none."""
    group = side.optimizer.param_groups[k % len(side.optimizer.param_groups)]
    name = ("lr", "weight_decay", "weight_decay", "lr", "betas", "eps", "maximize")[n % 7]
    if name not in group:
        return
    old = group[name]
    good: dict[str, list[Any]] = {
        "lr": [0.0, 0.005, 0.02, 0.5],
        "weight_decay": [0.0, 1e-4, 1e-3, 0.3],
        "betas": [old],
        "eps": [1e-6, old],
        "maximize": [True, False],
    }
    bad: list[Any] = [math.nan, -0.1, "0.1", math.inf, None]
    if n % 3 == 0 and name in ("lr", "weight_decay"):
        group[name] = bad[(n // 3) % len(bad)]
        side.undo.append(lambda: group.__setitem__(name, old))
    else:
        group[name] = good[name][(n // 7) % len(good[name])]


def scheduler_step(side: Side, k: int, n: int) -> None:
    if side.scheduler is not None:
        side.scheduler.step()


def other_calls(side: Side, k: int, n: int) -> None:
    """What else an optimizer has."""
    how = n % 6
    if how == 0:
        side.optimizer.init_state()
    elif how == 1:
        side.optimizer.eval()
        side.undo.append(side.optimizer.train)
    elif how == 2:
        side.optimizer.train()
    elif how == 3:
        side.optimizer.refresh()
    elif how == 4:
        side.model, side.optimizer = copy.deepcopy((side.model, side.optimizer))
        side.scheduler = None
        side.undo.clear()
    else:
        side.optimizer.state_dict()


ACTS: dict[str, Callable[[Side, int, int], None]] = {
    act.__name__: act
    for act in (
        *(
            train,
            train_once,
            step,
            strange_gradient,
            zero_grad,
            other_data,
            cast,
            lose_memory,
            freeze,
        ),
        *(exchange, swap, edit_state, move_state, write_step, mend, shrink, save, load, resume),
        *(load_torch, add_group, write_number, scheduler_step, other_calls),
    )
}
OFTEN = ("train", "train", "train", "train", "step", "mend", "save", "strange_gradient", "cast")
"""Acts that are drawn more often, so that there is something to disturb."""

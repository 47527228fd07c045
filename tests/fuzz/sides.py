"""One side of a story: a model with its optimizer, and what the story keeps of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from moving import swapping
from torch import nn

import unyoke
from unyoke import optimizers, schedules
from unyoke.backends.layout import is_dense
from unyoke.storage import encodings, formats
from unyoke.storage.fit import lacks_memory

SHAPES = ((70, 64), (37,), (5, 13), (2, 3, 4, 2), (), (5, 13))
MATRICES = ((70, 64), (5, 13), (13, 5), (5, 13))
SCHEDULES: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "torch": lambda: None,
    "cosine": lambda: schedules.cosine(12),
    "warm_restarts": lambda: schedules.warm_restarts(3),
}


class Side:
    """A model and its optimizer.

    Args:
        settings: of the story.
        backend: of this side.
        exact: whether its weights are in float64, whatever the story casts them to.
        is_twin: whether it is the one that is compared with.

    Raises:
        ValueError: the optimizer cannot be made.
    """

    def __init__(self, settings: dict[str, Any], backend: str, exact: bool, is_twin: bool) -> None:
        self.settings, self.backend, self.exact = settings, backend, exact
        self.is_twin = is_twin
        self.changed_by_refusal: str | None = None
        self.named = settings["named"]
        self.kept: list[torch.Tensor] = []
        self.saved: list[bytes] = []
        self.undo: list[Callable[[], object]] = []
        self.dtype: torch.dtype = getattr(torch, settings["dtype"])
        self.dtype_of_state = self.dtype
        try:
            self._begin(SHAPES)
        except ValueError:  # Muon's, which are for matrices
            self._begin(MATRICES)

    def _begin(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        self.model = nn.ParameterList(
            nn.Parameter(self.draw(shape, seed)) for seed, shape in enumerate(shapes)
        )
        self.begin_anew()

    def begin_anew(self) -> None:
        """Another optimizer, of the model's parameters as they are."""
        settings = self.settings
        weights = list(self.model)
        entries = [(f"w{k}", w) for k, w in enumerate(weights)] if self.named else weights
        groups: Any = [{"params": entries[:3]}, {"params": entries[3:], "lr": 0.02}]
        parts = {name: settings[name] for name in ("direction", "decay") if name in settings}
        cls: Any = optimizers.ALL[settings["name"]] if "name" in settings else unyoke.Optimizer
        self.optimizer: unyoke.Optimizer = cls(
            groups,
            lr=0.01,
            weight_decay=1e-3,
            backend=self.backend,
            schedule=SCHEDULES[settings["schedule"]](),
            state_dtype=settings["state_dtype"],
            rounding=settings["rounding"],
            **parts,
        )
        self.scheduler: Any = None
        if settings["schedule"] == "torch":
            self.scheduler = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, 0.9)
        self.undo.clear()

    @property
    def weights(self) -> list[Any]:
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]

    def weight(self, k: int) -> Any:
        weights = self.weights
        return weights[k % len(weights)]

    def step(self) -> None:
        """A step; one that is refused must leave weights, state and numbers as they were."""
        before = {} if self.is_twin else snapshot(self)
        try:
            self.optimizer.step()
            self.dtype_of_state = self.dtype
        except Exception:
            if not self.is_twin:
                after = snapshot(self)
                # State may have been made, and anchors that wait for a first update be dropped
                kept = {name: after.get(name) for name in before if not self._waits(name)}
                before = {name: before[name] for name in kept}
                self.changed_by_refusal = difference(before, kept, by_value=True)
            raise

    @property
    def sums(self) -> bool:
        """Whether the rules form sums over a parameter, whose order is the backend's."""
        rules = map(self.optimizer.groups.rule, self.optimizer.param_groups)
        return any(rule.scope == "tensor" or rule.stage is not None for rule in rules)

    def _waits(self, name: str) -> bool:
        """Whether an entry of a snapshot belongs to a weight that was not updated yet."""
        if " of weight " not in name:
            return False
        state = self.optimizer.state.get(self.weights[int(name.split()[-1])], {})
        count = state.get("step", 0)
        return isinstance(count, torch.Tensor) and not count.is_meta and not bool(count.any())

    def draw(self, shape: tuple[int, ...], seed: int) -> torch.Tensor:
        """Numbers in the dtype that the story's weights have; in float64 where that is exact."""
        generator = torch.Generator().manual_seed(seed)
        numbers = torch.randn(shape, generator=generator, dtype=torch.float64).to(self.dtype)
        return numbers.double() if self.exact else numbers

    def numbers(self, weight: Any, seed: int) -> torch.Tensor:
        """The same, as this weight is."""
        return self.draw(tuple(weight.shape), seed).to(weight.dtype).to(weight.device)

    def cast(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        with swapping(self.settings["swapping"]):
            self.model.to(torch.float64 if self.exact else dtype)
        if self.exact:
            for weight in self.weights:
                weight.data = weight.data.to(dtype).double()
                if weight.grad is not None:
                    weight.grad.data = weight.grad.to(dtype).double()

    def exchange(self, old: Any, new: Any) -> None:
        for group in self.optimizer.param_groups:
            group["params"] = [new if each is old else each for each in group["params"]]
        for number, each in enumerate(self.model):
            if each is old:
                self.model[number] = new


def snapshot(side: Side) -> dict[str, Any]:
    """Weights, state and numbers, by value."""
    found: dict[str, Any] = {}
    for number, weight in enumerate(side.weights):
        found[f"weight {number}"] = _copy(weight)
        state = side.optimizer.state.get(weight, {})
        for name, value in state.items():
            copied = _copy(value)
            if isinstance(copied, torch.Tensor) and copied.dtype in (torch.int8, torch.uint8):
                copied = _without_codes_of_nan(copied, state.get(formats.scale_name(name)))
            found[f"{name} of weight {number}"] = copied
    for index, group in enumerate(side.optimizer.param_groups):
        for name in ("lr", "base_lr", "weight_decay", "updates", "direction"):
            found[f"{name} of group {index}"] = group[name]
    return found


def _copy(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    if value.layout is torch.strided and lacks_memory(value):
        return "without memory"  # torch would read past its end
    return value.detach().clone()


def _without_codes_of_nan(codes: torch.Tensor, scales: Any) -> torch.Tensor:
    """8-bit codes, zeros where a block's scale is NaN: all of such a block is, whatever it holds.

    A code there is made of the bits of a NaN, and which of its operands' bits a processor passes on
    depends on the order in which they stand.
    """
    blocks = -(-codes.numel() // encodings.BLOCK)
    is_plain = isinstance(scales, torch.Tensor) and scales.layout is torch.strided
    if not is_plain or scales.shape != (blocks,) or scales.is_meta or lacks_memory(scales):
        return codes
    if codes.is_meta or codes.layout is not torch.strided or not is_dense(codes):
        return codes
    spoilt = scales.isnan().repeat_interleave(encodings.BLOCK)[: codes.numel()]
    formats.in_memory(codes)[spoilt] = 0
    return codes


def difference(
    one: dict[str, Any], other: dict[str, Any], exact: bool = False, by_value: bool = False
) -> str | None:
    """Where two snapshots differ first; None if nowhere.

    Args:
        one: of the optimizer that is tested.
        other: what it is compared with.
        exact: whether that is in float64, and one update apart.
        by_value: whether dtypes do not count: a step that is refused may have cast state.
    """
    for name in {**one, **other}:
        a, b = one.get(name), other.get(name)
        if exact and _is_of_rounding(name, a):
            continue
        if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
            if by_value and a.dtype != b.dtype and a.shape == b.shape:
                continue
            counts = by_value and a.numel() == b.numel() == 1 and not (a.is_meta or b.is_meta)
            if counts and torch.equal(a.view(()), b.view(())):
                continue  # a count in a tensor of shape [1]
            if not _same(a, b, exact and not name.startswith("step")):
                return f"{name}: {_apart(a, b, exact)}"
        elif by_value and {type(a), type(b)} & {torch.Tensor}:
            if name.startswith("step") and a is not None and b is not None and float(a) == float(b):
                continue
            return f"{name}: {a!r:.60} and {b!r:.60}"
        elif repr(a) != repr(b):
            return f"{name}: {a!r:.60} and {b!r:.60}"
    return None


def _is_of_rounding(name: str, value: Any) -> bool:
    """Codes, their scales and compensations: a last digit of what they stand for changes them."""
    codes = isinstance(value, torch.Tensor) and value.dtype in (torch.int8, torch.uint8)
    return codes or "_scale of " in name or name.startswith("compensation")


def _same(a: torch.Tensor, b: torch.Tensor, exact: bool) -> bool:
    if a.shape != b.shape or a.device != b.device or a.layout != b.layout:
        return False
    if a.is_meta or a.layout is not torch.strided:
        return exact or a.dtype == b.dtype
    if a.dtype == b.dtype and torch.equal(a, b):
        return True  # nearly always
    if not exact:
        return a.dtype == b.dtype and bool(((a == b) | (a.isnan() & b.isnan())).all())
    # An act's rounding: of weights (four times half a unit), of sums whose terms are larger than
    # they, of roots
    tolerance = {torch.bfloat16: 4e-2, torch.float16: 1e-2}.get(a.dtype, 2e-5)
    scale = float(b.double().abs().nan_to_num(0, 0, 0).max()) if b.numel() else 0.0
    a, b = a.double(), b.double()
    close = (a - b).abs() <= tolerance * (b.abs() + 0.05 * scale) + tolerance * 0.05
    return bool((close | ~a.isfinite() | ~b.isfinite()).all())


def _apart(a: torch.Tensor, b: torch.Tensor, exact: bool) -> str:
    if a.shape != b.shape or (a.dtype != b.dtype and not exact):
        return f"{tuple(a.shape)} {a.dtype} and {tuple(b.shape)} {b.dtype}"
    if a.is_meta or a.layout is not torch.strided:
        return f"{a.device} and {b.device}"
    count, gaps = int((a != b).sum()), (a.double() - b.double()).abs().nan_to_num(0)
    most = int(gaps.argmax())
    at = f"{float(a.flatten()[most]):.9g} and {float(b.flatten()[most]):.9g}"
    return f"{count} of {a.numel()} in {a.dtype}, most {at}"

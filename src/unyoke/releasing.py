"""Gradient release: each parameter is updated inside the backward pass, and its gradient freed.

A training step then never holds the gradients of the whole model: only those whose update is due.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from unyoke._step import state
from unyoke._step.commit import whole
from unyoke._step.evaluation import check_step
from unyoke._step.plan import Plan, random_numbers
from unyoke._support.wrappers import inner_optimizer, reducing_module
from unyoke.optimizer import Optimizer

GONE = (
    "this gradient was released: unyoke.release() applied it in the backward pass and freed it. So "
    "nothing that needs all gradients at once can follow: no clip_grad_norm_ over the model, no "
    "GradScaler, no logging of the total norm. Clip each gradient by itself instead "
    "(parameter.register_hook(lambda g: g.clamp(-1, 1))), or call .remove() on what release() "
    "returned"
)

MOVES = frozenset({"bfloat16", "cpu", "cuda", "double", "float", "half", "to", "xpu"})
"""Methods by which a module moves or casts its gradients with its weights."""


class ReleasedGradient(torch.Tensor):
    """Stands where a gradient was: one number in memory, and an error for whoever reads it."""

    @classmethod
    def of(
        cls, weight: torch.Tensor, moved: Callable[[torch.Tensor], torch.Tensor] = torch.detach
    ) -> ReleasedGradient:
        """The stand-in for this weight's gradient, its one number moved or cast."""
        one = moved(torch.empty((), dtype=weight.dtype, device=weight.device))
        stand_in: ReleasedGradient = torch.Tensor._make_subclass(cls, one.expand(weight.shape))
        return stand_in

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """What reads no element may be asked; ``zero_grad`` has nothing to do."""
        name = func.__name__
        if name in ("zero_", "detach_", "requires_grad_"):
            return args[0]
        if name in MOVES:
            own = {key: value for key, value in (kwargs or {}).items() if key != "memory_format"}
            return cls.of(args[0], lambda one: func(one, *args[1:], **own))
        if name == "__repr__":
            return f"<released gradient of shape {tuple(args[0].shape)}>"
        if name in (
            "__get__",
            "__set__",
            "_has_compatible_shallow_copy_type",
            "untyped_storage",
            "size",
            "stride",
            "dim",
            "numel",
            "is_complex",
            "is_floating_point",
        ):
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        raise RuntimeError(f"{name}: {GONE}")


def release(optimizer: Optimizer, *, every: int = 1) -> Release:
    """Update each parameter in the backward pass, as soon as its gradient is complete.

    The update is the one that ``optimizer.step()`` would have made, bit for bit; ``step()`` may
    stay in the loop (closures, schedulers and loggers expect it) and does nothing. The clock, and
    with it schedules and weight decay, advances once at the end of each backward pass that
    updates, not once per parameter. So one ``backward()`` is one update: with several losses, add
    them up, or put all but the last under ``with handle.accumulating():``.

    Gradients are gone afterwards, and ``grad`` is a stand-in that explains itself to whoever reads
    it: clipping by the global norm and GradScaler need all gradients at once and raise. A backward
    pass inside a backward pass (``checkpoint(use_reentrant=True)``) would count as one of its own:
    use ``use_reentrant=False``. Checkpoints are taken between backward passes, as ever.

    Args:
        optimizer: an optimizer of this library; Lightning's and Accelerate's wrappers are seen
            through.
        every: update at every k-th backward pass only; gradients add up until then, and take
            their memory.

    Returns:
        A handle: ``remove()`` undoes everything, also at the end of a ``with`` block.

    Raises:
        TypeError: an optimizer of another library.
        ValueError: ``every`` below 1, or a differentiable optimizer.
        RuntimeError: it is released already; or DistributedDataParallel or FSDP1 holds a parameter,
            which is asked at the first backward pass too.

    >>> import torch, unyoke
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = unyoke.AdamW(model.parameters(), lr=0.1)
    >>> handle = unyoke.release(optimizer)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> model.bias.grad
    <released gradient of shape (1,)>
    >>> optimizer.param_groups[0]["updates"]
    1
    """
    optimizer = inner_optimizer(optimizer)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"release: {type(optimizer).__name__} is not an unyoke optimizer; "
            "unyoke.from_torch makes one of torch's"
        )
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"release: every must be a whole number ≥ 1, not {every!r}")
    if any(group["differentiable"] for group in optimizer.param_groups):
        raise ValueError("release: autograd cannot record updates made in the backward pass")
    if optimizer.released is not None:
        raise RuntimeError("release: this optimizer is released already; remove() that first")
    check_not_reduced(optimizer)
    return Release(optimizer, every)


def check_not_reduced(optimizer: Optimizer) -> None:
    """Refuse parameters whose gradients are not the weight's yet when autograd has formed them.

    Raises:
        RuntimeError: DistributedDataParallel or FullyShardedDataParallel holds one.
    """
    holder = reducing_module(w for group in optimizer.param_groups for w in group["params"])
    if holder is not None:
        reason = {
            "DistributedDataParallel": "averages gradients over the processes after that, so each "
            "would apply its own",
            "FullyShardedDataParallel": "(FSDP1) gives gradients to other tensors than the "
            "parameters, so no weight would move",
        }[holder]
        raise RuntimeError(
            f"release: an update is made as soon as autograd has formed a gradient, and {holder} "
            f"{reason}. Use fully_shard (FSDP2), or step() without release()"
        )


class Release:
    """The handle that :func:`release` returns."""

    def __init__(self, optimizer: Optimizer, every: int) -> None:
        self._optimizer = optimizer
        self._every = every
        self._passes = 0
        self._accumulating = False
        self._backward = -1
        self._is_checked = False
        self._unseen = 0  # updates since the last step()
        self._lock = threading.Lock()  # gradients on several devices arrive in several threads
        self._plans: dict[torch.Tensor, Plan] = {}
        self._places: dict[torch.Tensor, tuple[int, int]] = {}
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        for index, group in enumerate(optimizer.param_groups):
            for number, weight in enumerate(group["params"]):
                self._places[weight] = index, number
                if weight.requires_grad:
                    self._watch(weight)
        optimizer.released = self.step_called

    def __enter__(self) -> Release:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Give the gradients back to ``step()``."""
        for hook in self._hooks:
            hook.remove()
        for weight in self._places:
            if isinstance(weight.grad, ReleasedGradient):
                weight.grad = None
        self._hooks, self._plans = [], {}
        if self._optimizer.released == self.step_called:
            self._optimizer.released = None

    @contextlib.contextmanager
    def accumulating(self) -> Iterator[None]:
        """Backward passes in here only add up gradients; the next one outside applies them."""
        before, self._accumulating = self._accumulating, True
        try:
            yield
        finally:
            self._accumulating = before

    def step_called(self) -> None:
        """What ``optimizer.step()`` does meanwhile: nothing, if there is nothing to do.

        Raises:
            RuntimeError: gradients that no backward pass will apply; or several updates were made
                since the last step().
        """
        unseen, self._unseen = self._unseen, 0
        if unseen > 1:
            raise RuntimeError(
                f"release: {unseen} backward passes since the last step() have made {unseen} "
                "updates, one each. To accumulate gradients over k passes, give release(..., "
                "every=k), or put all passes but the last under `with handle.accumulating():`"
            )
        for index, group in enumerate(self._optimizer.param_groups):
            for number, weight in enumerate(group["params"]):
                if weight.grad is not None and weight not in self._places:
                    raise RuntimeError(
                        f"parameter {number} of group {index} was added after release(): call "
                        "remove() on the handle and release() again"
                    )

    def _watch(self, weight: torch.Tensor) -> None:
        stand_in = ReleasedGradient.of(weight)

        def before(grad: torch.Tensor) -> None:
            if isinstance(weight.grad, ReleasedGradient):
                weight.grad = None

        def complete(weight: torch.Tensor) -> None:
            nonlocal stand_in
            with self._lock, torch.no_grad():
                self._note_backward()
                if self._updates_now():
                    self._update(weight)
                    if stand_in.dtype != weight.dtype or stand_in.device != weight.device:
                        stand_in = ReleasedGradient.of(weight)
                    weight.grad = stand_in

        hooked: Any = weight  # torch has no types for these two
        self._hooks.append(hooked.register_hook(before))
        self._hooks.append(hooked.register_post_accumulate_grad_hook(complete))

    def _updates_now(self) -> bool:
        return not self._accumulating and self._passes == self._every - 1

    def _note_backward(self) -> None:
        """At the first gradient of a backward pass, ask to be called at its end."""
        backward = torch._C._current_graph_task_id()
        if backward != self._backward:
            if not self._is_checked:  # wrapped since release()
                check_not_reduced(self._optimizer)
                self._is_checked = True
            self._backward = backward
            engine: Any = torch.autograd.Variable._execution_engine
            engine.queue_callback(self._end_of_backward)

    def _end_of_backward(self) -> None:
        if self._accumulating:
            return
        if not self._updates_now():
            self._passes += 1
            return
        with self._lock, torch.no_grad():
            for weight in self._places:  # those with gradients from earlier passes only
                if weight.grad is not None and not isinstance(weight.grad, ReleasedGradient):
                    self._update(weight)
                    weight.grad = None
            self._passes = 0
            self._unseen += 1
            self._optimizer.advance()

    def _update(self, weight: torch.Tensor) -> None:
        """The update of one parameter, as the optimizer would make it."""
        optimizer = self._optimizer
        index, number = self._places[weight]
        check_step(optimizer.param_groups)
        group = optimizer.param_groups[index]
        lr, eta = optimizer.groups.rate(index, group)
        rule = optimizer.groups.rule(group)
        (own,) = state.before_updates(optimizer, rule, [weight], group)
        plan = self._plans.get(weight)
        if plan is None or plan.states[0] is not own or not plan.holds(rule, group):
            numbers = [random_numbers(optimizer.param_groups, index)[number]]
            plan = self._plans[weight] = Plan(rule, group, [weight], [weight], [own], numbers)
        plan.prepare(lr, eta, optimizer.backend)
        whole(plan.run, plan.resumes)
        state.after_update(optimizer, [weight])

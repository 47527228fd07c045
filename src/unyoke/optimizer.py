"""The optimizer: parameter groups, state and the schedule around the equation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, overload

import torch
from torch.optim.optimizer import (
    ParamsT,
    _global_optimizer_post_hooks,
    _global_optimizer_pre_hooks,
)

from unyoke import backends, decays, directions
from unyoke._step import evaluation, group_checks, state
from unyoke._step.device import amp_on_device
from unyoke._step.groups import Forms, Groups
from unyoke._step.hyperparameters import Group, WeightDecay
from unyoke._step.owner import Stepped
from unyoke._step.stepper import Stepper
from unyoke._step.written import SWITCHES
from unyoke._support.callers import warn
from unyoke.equation import Decay, Direction, combine
from unyoke.ranges import number, plain
from unyoke.schedules import Schedule
from unyoke.storage import formats
from unyoke.storage.formats import Rounding, StateDtype

if TYPE_CHECKING:
    from unyoke.explain import Explanation


class Optimizer(Stepped, torch.optim.Optimizer):
    """Any direction with any decay under any schedule.

        θ_t = θ_{t−1} − step(g_t; α·η_t) − η_t·λ·pull(θ_{t−1})

    Drop-in for torch's optimizers: closures, hooks, parameter groups, checkpoints, torch's
    learning-rate schedulers. ``group["lr"]`` shows α·η_t of the coming update; α itself stays in
    ``group["base_lr"]``. When a torch scheduler moves ``lr``, η_t is ``lr / base_lr``, so the decay
    follows the schedule and not the learning rate. Nothing moves while ``lr`` is 0. The state
    has torch's names. It is made at the first update of a parameter, where and as the parameter is
    then, and follows it when it is moved to another device or cast; :meth:`init_state` makes it
    earlier. State of a parameter that was taken out of its group is dropped.

    Args:
        params: parameters, named parameters or parameter groups; a group may have its own values
            of all that follows up to ``maximize``, except ``schedule`` and ``backend``. A group
            with another ``direction`` has that direction's defaults, and of the constructor's
            numbers only lr and weight_decay.
        lr: α ≥ 0, the initial learning rate; a number or a tensor that is updated in place.
        weight_decay: λ ≥ 0, per update, multiplied by η_t and **not** by the learning rate (for
            ``decay="lr_coupled"`` and ``"l2"``: as in torch). A number, a tensor,
            :func:`unyoke.normalized`, or a function of t, the number of updates made.
        direction: a name from :mod:`unyoke.directions`, or a Direction.
        decay: a name from :mod:`unyoke.decays`, or a Decay.
        schedule: t → η_t, from :mod:`unyoke.schedules`; no ``scheduler.step()`` to forget.
        backend: ``"auto"`` or a name from :mod:`unyoke.backends`.
        state_dtype: what the direction's state is kept in: ``torch.float32`` (or wider, with the
            weights), ``torch.bfloat16``, or ``"int8"``, 8-bit blocks; see :mod:`unyoke.storage`.
        rounding: of the weights: ``"nearest"``, ``"kahan"`` (what rounding takes is kept beside
            the weight and paid back) or ``"stochastic"`` (right in the mean).
        seed: ≥ 0 and below 2^31, of the random bits by which narrow state and stochastic rounding
            are rounded; the same on all ranks, whatever torch's seed is there.
        maximize: climb instead of descending.
        differentiable: let autograd record the steps.
        capturable: keep the count of updates and all coefficients on the device, so that a CUDA
            graph can record the step; see :mod:`unyoke._step.device`.
        hyperparameters: the direction's and the decay's own, such as ``betas``.

    Raises:
        ValueError: a value out of its range, an unknown name, no parameters at all.
        TypeError: an unknown hyperparameter.
    """

    words: ClassVar[tuple[str, ...]] = ()
    """Entries of every group beside the hyperparameters, such as torch's ``nesterov``."""

    forms: ClassVar[Forms] = {}
    """Directions that words choose between, by name: which must be true and which false."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 1e-3,
        weight_decay: WeightDecay = 1e-5,
        *,
        direction: str | Direction = "adam",
        decay: str | Decay = "decoupled",
        schedule: Schedule | None = None,
        backend: str = "auto",
        state_dtype: StateDtype = torch.float32,
        rounding: Rounding = "nearest",
        seed: int = 0,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        **hyperparameters: Any,
    ) -> None:
        group_checks.check_arguments(type(self).__name__, params, schedule)
        self.groups = Groups(schedule, directions.get(direction), self.forms)
        self.groups.hear(weight_decay)
        self.backend = backend
        self._stepper = Stepper()
        backends.check_name(backend)
        words = {name: hyperparameters.get(name, False) for name in self.words}
        chosen = self.groups.group_direction({**words, "direction": self.direction.name})
        self.groups.direction = chosen
        known = {**words, **combine(self.direction, decays.get(decay)).defaults}
        group_checks.check_keywords(type(self).__name__, self.direction, hyperparameters, known)
        defaults = {
            "lr": number(lr),
            "weight_decay": number(weight_decay),
            "decay": self.groups.named(decay),
            "state_dtype": formats.check_state_dtype(state_dtype),
            "rounding": rounding,
            "seed": seed,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
            **known,
            **{name: number(value) for name, value in hyperparameters.items()},
        }
        super().__init__(params, defaults)

    @property
    def direction(self) -> Direction:
        """What turns gradients into steps, in groups that name no other; may be replaced."""
        assert self.groups.direction is not None
        return self.groups.direction

    @direction.setter
    def direction(self, direction: Direction) -> None:
        old = self.direction.name
        self.groups.direction = direction
        for group in self.param_groups:
            if group["direction"] == old:
                group["direction"] = direction.name
                for name, value in direction.defaults.items():
                    group.setdefault(name, value)

    # Groups and state

    def add_param_group(self, param_group: Group) -> None:
        """Add a group; values it lacks are the constructor's.

        Raises:
            ValueError: a value out of its range; nothing is changed.
        """
        self.groups.hear(param_group.get("weight_decay"))
        group = self._named_parts(param_group)
        rule = self.groups.rule({**self.defaults, **group})
        group_checks.check_keys(rule, group, self.words)
        if "state_dtype" in group:
            group["state_dtype"] = formats.check_state_dtype(group["state_dtype"])
        family = self.groups.family(self.direction.name)
        own = {} if rule.direction.name in family else rule.direction.defaults
        full = {**rule.defaults, **self.defaults, **own, **group}
        full |= {name: number(full[name]) for name in ("lr", "weight_decay", *rule.defaults)}
        self._stepper.on_device.count(self.param_groups)
        lr, weight_decay = full["lr"], full["weight_decay"]
        opened = self.groups.opened(lr, weight_decay, self.param_groups)
        rule.check(full)
        for name, check in SWITCHES.items():
            check(full[name])
        group |= {name: full[name] for name in ("lr", *rule.defaults)}
        group |= {**opened, "direction": rule.direction.name, **evaluation.entry(rule)}
        super().add_param_group(group)
        group = self.param_groups[-1]
        group_checks.drop_repeats(group)
        group_checks.drop_needless_dimension(group)
        objection = group_checks.objection(rule, group)
        if objection is not None:
            self.param_groups.pop()
            raise ValueError(f"parameter group {len(self.param_groups)}{objection}")
        large = self.groups.add(group, weight_decay)
        warn(group_checks.warning_if_unused(rule, param_group, self.words))
        warn(large)

    def _named_parts(self, param_group: Group) -> Group:
        """A new group with its direction and decay by name; own ones are kept aside."""
        group = {name: plain(value) for name, value in param_group.items() if name != "params"}
        group["params"] = param_group["params"]
        group["decay"] = self.groups.named(group.get("decay", self.defaults["decay"]))
        if "direction" not in group:
            return {**group, "direction": self.direction.name}
        group["direction"] = self.groups.named_direction(group["direction"])
        return group | self.groups.choosing(group["direction"], {**self.defaults, **group})

    def init_state(self) -> None:
        """Make the state that the first updates would make, of all parameters with gradients.

        A step makes what its parameters lack, so nobody has to call this; but a program may want
        to see the state, load into it, or have its memory taken early. State that there is stays.
        An anchor (``initial_weight``, the bound of ``constrained``) is the weight just before its
        first update all the same, unless something was written into it.

        Raises:
            ValueError: state that is there does not fit its weight.
        """
        state.make_all(self)

    # The step

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Make one update.

        Args:
            closure: evaluates the model again and returns the loss; called with gradients on.

        Raises:
            RuntimeError: a schedule was given and something else moved ``lr``; or no backend can
                do the work.
            ValueError: a parameter's state does not fit it any more. Raised before any parameter
                is changed, as the other.
        """
        if torch.compiler.is_dynamo_compiling():
            return self._uncompiled_step(closure)
        if self._is_watched():
            return self._watched_update(closure)
        if closure is None and self._stepper.replayed(self):
            return None
        return self._update(closure)

    step.hooked = True  # type: ignore[attr-defined] # torch need not wrap it: see _is_watched

    @torch._disable_dynamo  # type: ignore[attr-defined] # the public one imports the compiler
    def _uncompiled_step(self, closure: Callable[[], float] | None) -> float | None:
        """The step between two graphs of torch.compile: there are no addresses in a graph."""
        return self.step(closure)

    def _is_watched(self) -> bool:
        """Whether hooks or a profiler wait for the step.

        torch's wrapper, which serves them, takes as long as the update of ten thousand weights.
        A subclass that overrides ``step`` has been wrapped by torch.
        """
        return type(self).step is Optimizer.step and bool(
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _global_optimizer_pre_hooks
            or _global_optimizer_post_hooks
            or torch.autograd.profiler._is_profiler_enabled
        )

    def _update(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if not self._stepper.replayed(self):
            self._prepared_update()
        return loss

    def _prepared_update(self) -> None:
        """The update as it is captured, recorded by autograd if that is asked for."""
        enabled = torch.is_grad_enabled()
        recorded = enabled and any(group["differentiable"] for group in self.param_groups)
        # torch.set_grad_enabled is written in Python: an interrupt in it would leave gradients off
        try:
            torch._C._set_grad_enabled(recorded)
            self._stepper.step(self)
        finally:
            torch._C._set_grad_enabled(enabled)

    _watched_update = torch.optim.Optimizer.profile_hook_step(_update)

    @torch.no_grad()
    def eval(self) -> None:
        """Put the weights to evaluate in place, where those are not the ones that are trained.

        With schedule-free directions; with all others nothing happens. Call it beside
        ``model.eval()``, and before the model is saved. Until :meth:`train` a step is refused.
        """
        self._stepper.replay = None
        evaluation.begin(self)

    @torch.no_grad()
    def train(self) -> None:
        """Put the trained weights back, bit for bit.

        If the weights were replaced since :meth:`eval`, the trained ones are formed of the new.
        """
        evaluation.end(self)

    def evaluated(
        self, weight: torch.Tensor, state: Mapping[str, Any], group: Mapping[str, Any]
    ) -> torch.Tensor:
        """A parameter's weights to evaluate, with this state in this group; see :meth:`eval`."""
        average = self.groups.rule(dict(group)).direction.average
        return weight if average is None else evaluation.evaluated(average, weight, state, group)

    def advance(self) -> None:
        """Count the update that was made, and show the coming one's lr and weight_decay."""
        self._stepper.count(self, self.groups.shown(self.param_groups, 1))

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Whether GradScaler may leave its scale and its verdict to the step; torch asks."""
        return amp_on_device(self.param_groups, self.backend)

    def explain(
        self, updates: int | None = None, updates_per_epoch: float | None = None
    ) -> Explanation:
        """What each group's decay amounts to: per update, over a budget, as a half-life.

        Args:
            updates: the budget, counted from now; left out, what remains of the schedule's.
            updates_per_epoch: to have times in epochs as well.

        Raises:
            ValueError: an argument that is not positive.
        """
        from unyoke import explain  # seldom needed, and `import unyoke` should be quick

        return explain.explain(self, updates, updates_per_epoch)

    # Checkpoints

    def state_dict(self) -> dict[str, Any]:
        """torch's form of checkpoint; after replays of a CUDA graph it waits for the device.

        State of parameters that are in no group any more is dropped.
        8-bit state of DTensors is in float32 there, so that a checkpoint can be loaded by any
        number of processes.
        """
        self._stepper.on_device.count(self.param_groups)
        self._stepper.drop_departed(self)
        saved = super().state_dict()
        saved["state"] = {key: formats.portable(entry) for key, entry in saved["state"].items()}
        saved["param_groups"] = [
            {name: plain(value) for name, value in group.items()} for group in saved["param_groups"]
        ]
        if self.schedule is not None:
            saved["schedule"] = self.groups.schedule_name()
        return saved

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a checkpoint, of this library or of torch's optimizer of the same direction.

        ``state_dtype`` and ``rounding`` are this optimizer's: state in the same format is restored
        bit for bit, state in another is converted. Numbers of the groups are the checkpoint's;
        functions (schedule, weight_decay of t) are the constructor's, at the checkpoint's t. If the
        checkpoint's run had a schedule and this optimizer has none, a warning says so.
        The state is in new tensors afterwards, in the layout of the weights.

        Raises:
            TypeError: it is not a mapping, such as a path.
            ValueError: other groups, parameters or shapes, another optimizer's state, or a number
                that the constructor would not take; nothing is changed.
        """
        from unyoke import checkpoint  # seldom needed, and `import unyoke` should be quick

        saved = checkpoint.opened(state_dict)
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = before(self, saved)
            saved = saved if replaced is None else replaced
        self.__setstate__(checkpoint.read(self, saved))
        for index, group in enumerate(self.param_groups):
            warn(self.groups.warning(index, group))
        warn(self.groups.warning_if_lost(saved.get("schedule"), self.param_groups))
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __repr__(self) -> str:
        plans = self._stepper.plans.values()
        used = dict.fromkeys(backend.name for plan in plans for backend, _ in plan.assignments)
        last = f", at the last update {' and '.join(used)}" if used else ""
        groups = self.groups.text(self.param_groups, self.words)
        return f"{type(self).__name__} ({groups}Backend: {self.backend}{last}\n)"

    def __getstate__(self) -> dict[str, Any]:
        own = {name: self.__dict__[name] for name in ("groups", "backend")}
        return {**super().__getstate__(), **own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._stepper = Stepper()
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)
            group.setdefault("base_lr", self.defaults["lr"])
            group.setdefault("updates", 0)

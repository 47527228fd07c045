"""The optimizer: parameter groups, state and the schedule around the equation."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, overload

import torch
from torch.optim.optimizer import (
    ParamsT,
    _global_optimizer_post_hooks,
    _global_optimizer_pre_hooks,
)

from unyoke import backends, decays, directions
from unyoke._step import counters, group_checks
from unyoke._step.device import OnDevice, amp_on_device, verdict
from unyoke._step.hyperparameters import (
    Group,
    WeightDecay,
    check_lr,
    check_weight_decay,
    depends_on_t,
    own_copy,
    show_rate,
    warning_if_large,
    weight_decay_at,
)
from unyoke._step.stepper import Stepper
from unyoke.equation import Decay, Direction, Rule, combine
from unyoke.schedules import Schedule
from unyoke.storage import fit, formats
from unyoke.storage.formats import Rounding, StateDtype

if TYPE_CHECKING:
    from unyoke.explain import Explanation
    from unyoke.releasing import Release

COMMON = (
    "lr",
    "weight_decay",
    "decay",
    "state_dtype",
    "rounding",
    "maximize",
    "differentiable",
    "capturable",
)


class Optimizer(torch.optim.Optimizer):
    """Any direction with any decay under any schedule.

        θ_t = θ_{t−1} − step(g_t; α·η_t) − η_t·λ·pull(θ_{t−1})

    Drop-in for torch's optimizers: closures, hooks, parameter groups, checkpoints, torch's
    learning-rate schedulers. ``group["lr"]`` shows α·η_t of the coming update; α itself stays in
    ``group["base_lr"]``. When a torch scheduler moves ``lr``, η_t is ``lr / base_lr``, so the decay
    follows the schedule and not the learning rate. Nothing moves while ``lr`` is 0. The state
    exists from the constructor on, under torch's names.

    Args:
        params: parameters, named parameters or parameter groups; a group may have its own values
            of all that follows up to ``maximize``, except ``direction`` and ``schedule``.
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
        maximize: climb instead of descending.
        differentiable: let autograd record the steps.
        capturable: keep the count of updates and all coefficients on the device, so that a CUDA
            graph can record the step; see :mod:`unyoke._step.device`.
        hyperparameters: the direction's and the decay's own, such as ``betas``.

    Raises:
        ValueError: a value out of its range, an unknown name, an empty group.
        TypeError: an unknown hyperparameter.
    """

    released: Release | None = None  # who makes the updates instead of step()

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
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        **hyperparameters: Any,
    ) -> None:
        self.direction = directions.get(direction)
        self.schedule = schedule
        self.backend = backend
        self._decays: dict[str, Decay] = {}
        self._weight_decays: list[WeightDecay | None] = []
        self._warned = False
        self._stepper = Stepper()
        self._on_device = OnDevice()
        backends.check_name(backend)
        if schedule is not None and not callable(schedule):
            raise ValueError(f"schedule must be a function of t, not {schedule!r}")
        known = combine(self.direction, decays.get(decay)).defaults
        self._check_keywords(hyperparameters, known)
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "decay": self._decay_name(decay),
            "state_dtype": formats.check_state_dtype(state_dtype),
            "rounding": rounding,
            "seed": torch.initial_seed() & 0x7FFFFFFF,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
            **known,
            **hyperparameters,
        }
        super().__init__(params, defaults)

    def _check_keywords(self, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, (*known, *COMMON), n=1)
                raise TypeError(
                    f"{type(self).__name__} with direction {self.direction.name!r} has no "
                    f"hyperparameter {name!r}: "
                    + (f"did you mean {near[0]!r}? " if near else "")
                    + f"there are {', '.join((*known, *COMMON))}"
                )

    def _decay_name(self, decay: str | Decay) -> str:
        """Groups hold names, so that checkpoints stay plain; own Decay objects are kept aside."""
        part = decays.get(decay)
        if decays.ALL.get(part.name) is not part:
            self._decays[part.name] = part
        return part.name

    def rule(self, group: Group) -> Rule:
        """The direction with this group's decay."""
        name = group["decay"]
        return combine(self.direction, self._decays.get(name) or decays.get(name))

    # Groups and state

    def add_param_group(self, param_group: Group) -> None:
        """Add a group; values it lacks are the constructor's.

        Raises:
            ValueError: a value out of its range or a group without parameters; nothing is changed.
        """
        group = dict(param_group)
        if "decay" in group:
            group["decay"] = self._decay_name(group["decay"])
        if "state_dtype" in group:
            group["state_dtype"] = formats.check_state_dtype(group["state_dtype"])
        group.setdefault("decay", self.defaults["decay"])
        rule = self.rule(group)
        group_checks.check_keys(rule, group)
        full = {**rule.defaults, **self.defaults, **group}
        self._on_device.count(self.param_groups)
        updates = self.param_groups[0]["updates"] if self.param_groups else 0
        self._check(rule, full)
        weight_decay = full["weight_decay"]
        shown = weight_decay_at(weight_decay, updates, self.schedule)
        check_weight_decay(shown)
        group |= {
            **{name: full[name] for name in rule.defaults},
            "weight_decay": shown,
            "base_lr": own_copy(full["lr"]),
            "updates": updates,
            "direction": self.direction.name,
        }
        super().add_param_group(group)
        group = self.param_groups[-1]
        group_checks.drop_repeats(group)
        objection = group_checks.objection(rule, group)
        if objection is not None:
            self.param_groups.pop()
            raise ValueError(f"parameter group {len(self.param_groups)}{objection}")
        self._weight_decays.append(weight_decay if depends_on_t(weight_decay) else None)
        if self.schedule is not None:
            show_rate(group, self.schedule(updates))
        for weight in group["params"]:
            if weight.requires_grad:
                self._ensure_state(rule, weight, group)
        if not depends_on_t(weight_decay):
            self._warn_if_large(group, rule)

    def _check(self, rule: Rule, group: Group) -> None:
        check_lr(group["lr"])
        rule.check(group)
        formats.check_rounding(group["rounding"])

    def _ensure_state(self, rule: Rule, weight: torch.Tensor, group: Group) -> dict[str, Any]:
        """The parameter's state; what is missing (all of it, at first) is made.

        State follows a weight that was cast since. ValueError: it does not fit the weight.
        """
        state: dict[str, Any] = self.state[weight]
        for name in ("step", *rule.scalars):
            if name not in state:
                count = counters.initial(name)
                state[name] = count.to(weight.device) if group["capturable"] else count
        recorded = group["differentiable"] and torch.is_grad_enabled()  # an anchor is a weight
        with torch.set_grad_enabled(recorded):
            if any(name not in state for name in rule.state):
                initial = rule.initial(weight.clone() if recorded else weight.detach(), group)
                lacking = {name: initial[name] for name in rule.state if name not in state}
                state |= formats.allocate(rule, lacking, group)
            if group["rounding"] == "kahan" and formats.COMPENSATION not in state:
                state[formats.COMPENSATION] = torch.zeros_like(weight.detach())
            try:
                state |= fit.followed(rule, weight, state, group)
            except ValueError as error:
                name = fit.parameter_name(weight, group)
                raise ValueError(f"the state of parameter {name} does not fit: {error}") from None
        return state

    def _warn_if_large(self, group: Group, rule: Rule) -> None:
        warning = None if self._warned else warning_if_large(group, rule.decay)
        if warning is not None:
            self._warned = True
            warnings.warn(warning, UserWarning, stacklevel=6)

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
                do the work. Raised before anything is changed.
        """
        if torch.compiler.is_dynamo_compiling():
            return self._uncompiled_step(closure)
        if self._is_watched():
            return self._watched_update(closure)
        if closure is None and self._stepper.repeat(self):
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
        if not self._stepper.repeat(self):
            differentiable = any(group["differentiable"] for group in self.param_groups)
            with torch.set_grad_enabled(differentiable and torch.is_grad_enabled()):
                self._stepper.step(self)
        return loss

    _watched_update = torch.optim.Optimizer.profile_hook_step(_update)

    def advance(self) -> None:
        """Count the update that was made, and show the coming one's lr and weight_decay."""
        for group in self.param_groups:
            group["updates"] += 1
        self._on_device.advance(self.param_groups, verdict(self))
        self.refresh()

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Whether GradScaler may leave its scale and its verdict to the step; torch asks."""
        return amp_on_device(self.param_groups, self.backend)

    def refresh(self) -> None:
        """Write the coming update's lr and weight_decay into the groups."""
        if any(self._weight_decays):
            for group, given in zip(self.param_groups, self._weight_decays, strict=True):
                if given is not None:
                    group["weight_decay"] = weight_decay_at(given, group["updates"], self.schedule)
        if self.schedule is not None:
            for group in self.param_groups:
                if not self._on_device.shows_rate(group):
                    show_rate(group, self.schedule(group["updates"]))

    def check_groups(self) -> None:
        """Refuse groups of which it is not known which weight decay is whose.

        Raises:
            RuntimeError: some were put in by hand; or taken out, and a weight decay is a function
                of t.
        """
        if len(self.param_groups) > len(self._weight_decays):
            raise RuntimeError(
                f"there are {len(self.param_groups)} parameter groups, and only "
                f"{len(self._weight_decays)} were added by add_param_group(), which checks them: "
                "take the others out and add them so"
            )
        if any(self._weight_decays) and len(self.param_groups) != len(self._weight_decays):
            raise RuntimeError(
                f"there are {len(self.param_groups)} parameter groups and there were "
                f"{len(self._weight_decays)}, of which some have a weight_decay that is a function "
                "of t: leave the groups, and freeze their parameters (requires_grad_(False) and "
                "grad = None); or construct another optimizer"
            )

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
        """torch's form of checkpoint; after replays of a CUDA graph it waits for the device."""
        self._on_device.count(self.param_groups)
        return super().state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a checkpoint, of this library or of torch's optimizer of the same direction.

        ``state_dtype`` and ``rounding`` are this optimizer's: state in the same format is restored
        bit for bit, state in another is converted. Numbers of the groups are the checkpoint's;
        functions (schedule, weight_decay of t) are the constructor's, at the checkpoint's t.

        Raises:
            ValueError: other groups, parameters or shapes, or another optimizer's state; nothing
                is changed.
        """
        from unyoke import checkpoint  # seldom needed, and `import unyoke` should be quick

        checkpoint.load(self, state_dict)

    def __getstate__(self) -> dict[str, Any]:
        own = ("direction", "schedule", "backend", "_decays", "_weight_decays", "_warned")
        return {**super().__getstate__(), **{name: self.__dict__[name] for name in own}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._stepper = Stepper()
        self._on_device = OnDevice()
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)
            group.setdefault("base_lr", self.defaults["lr"])
            group.setdefault("updates", 0)

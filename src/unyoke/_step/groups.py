"""What an optimizer knows of its parameter groups, in one object for everybody who asks.

A group holds what a checkpoint can: numbers and names. A schedule, a weight decay that is a
function of t and somebody's own direction or decay are objects, and are kept here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

import torch

from unyoke import decays, directions
from unyoke._step.hyperparameters import (
    ABOVE_ONE,
    Group,
    WeightDecay,
    check_entry,
    check_lr,
    check_weight_decay,
    depends_on_t,
    largest,
    own_copy,
    rate,
    rate_limits,
    warning_if_above_one,
    warning_if_large,
    weight_decay_at,
)
from unyoke._step.written import SWITCHES, RightNumbers, checked
from unyoke._support.callers import warn
from unyoke.equation import Decay, Direction, Rule, combine
from unyoke.ranges import Limits
from unyoke.schedules import Schedule
from unyoke.slots import Part
from unyoke.timescales import LARGE, PerUpdate

# A run's settings may hold a PerUpdate, which is stored as a float, and are read again with
# torch.load(weights_only=True)
torch.serialization.add_safe_globals([float])

Forms: TypeAlias = Mapping[str, Mapping[str, bool]]


class Groups:
    """The parts that parameter groups name, and the functions that their numbers follow.

    Args:
        schedule: t → η_t; None if ``lr`` is moved by somebody else, or not at all.
        direction: of groups that name none of their own; None where another library's optimizer
            makes the step.
        forms: directions that entries of a group choose between, as torch's ``momentum`` and
            ``nesterov`` do: by name, which entries must be true and which false.

    Attributes:
        schedule: as given; may be replaced.
        direction: as given; may be replaced.
        early_anchors: what decay rules keep of weights that were not updated yet, by weight: name,
            tensor and its version.
    """

    def __init__(
        self,
        schedule: Schedule | None,
        direction: Direction | None = None,
        forms: Forms | None = None,
    ) -> None:
        if schedule is not None and not callable(schedule):
            raise ValueError(
                f"schedule must be a function of t, such as unyoke.schedules.cosine(updates), not "
                f"{schedule!r}"
            )
        self.schedule = schedule
        self._forms = forms or {}
        self._directions: dict[str, Direction] = {}
        self._decays: dict[str, Decay] = {}
        self.direction = direction
        self._functions: list[WeightDecay | None] = []
        self._warned: set[str] = set()
        self._right: dict[int, RightNumbers] = {}
        self.early_anchors: dict[torch.Tensor, list[tuple[str, torch.Tensor, int]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_right": {}}  # no copy of a group's parameters

    # The parts

    def named(self, decay: str | Decay) -> str:
        """The name by which a group holds a decay; an own one is kept here for it.

        Raises:
            ValueError: there is no such decay, or another one has its name here.
        """
        return _name_of(decay, decays, self._decays)

    def decay(self, group: Group) -> Decay:
        """This group's decay."""
        name = group["decay"]
        return self._decays.get(name) or decays.get(name)

    @property
    def direction(self) -> Direction | None:
        """That of groups that name none of their own."""
        return self._direction

    @direction.setter
    def direction(self, direction: Direction | None) -> None:
        if direction is not None:
            direction = self._named_direction(self.named_direction(direction))
        self._direction = direction

    def named_direction(self, direction: str | Direction) -> str:
        """The name by which a group holds a direction; an own one is kept here for it.

        Raises:
            ValueError: there is no such direction, or another one has its name here.
        """
        return _name_of(direction, directions, self._directions)

    def _named_direction(self, name: str) -> Direction:
        return self._directions.get(name) or directions.get(name)

    def family(self, name: str) -> Collection[str]:
        """The directions that a group of this one changes to when its entries change."""
        return self._forms if name in self._forms else (name,)

    def group_direction(self, group: Group) -> Direction:
        """This group's direction: the one that it names, or that its entries choose."""
        name = group["direction"]
        if name in self._forms:
            name = next(
                form
                for form, entries in self._forms.items()
                if all(bool(group[entry]) == wanted for entry, wanted in entries.items())
            )
        return self._named_direction(name)

    @property
    def words(self) -> set[str]:
        """The entries that choose between directions."""
        return {entry for entries in self._forms.values() for entry in entries}

    def choosing(self, name: str, entries: Group) -> Group:
        """What to change in a group's entries so that they choose this direction.

        Raises:
            ValueError: the direction needs a number that is 0.
        """
        changed: Group = {}
        for entry, wanted in self._forms.get(name, {}).items():
            if bool(entries[entry]) == wanted:
                continue
            if wanted and not isinstance(entries[entry], bool):
                raise ValueError(f"direction {name!r} needs {entry} > 0: give it as well")
            changed[entry] = type(entries[entry])(wanted)
        return changed

    def rule(self, group: Group) -> Rule:
        """This group's direction with this group's decay."""
        assert self._direction is not None, "the step is another library's"
        return combine(self.group_direction(group), self.decay(group))

    def used(self, group: Group, words: Collection[str]) -> Group:
        """A group's entries for people: without what only other groups' directions use.

        torch puts every default into every group, and schedulers write there.
        """
        rule, default = self.rule(group), self.direction
        hidden = {"params"}
        if default is not None and rule.direction.name not in self.family(default.name):
            hidden |= {*default.defaults, *words} - {*rule.defaults}
        return {name: value for name, value in group.items() if name not in hidden}

    def text(self, groups: Sequence[Group], words: Collection[str]) -> str:
        """The groups for people, in torch's form."""
        lines: list[str] = []
        for index, group in enumerate(groups):
            own = self.used(group, words)
            entries = (f"    {name}: {own[name]}" for name in sorted(own))
            lines += ["", f"Parameter Group {index}", *entries]
        return "\n".join([*lines, ""])

    # Groups that come

    def opened(self, lr: Any, weight_decay: WeightDecay, groups: Sequence[Group]) -> Group:
        """What a new group holds of the rates: λ, α and the number of updates made.

        Args:
            lr: of the new group.
            weight_decay: of the new group.
            groups: those that there are, which all have made the same number of updates.

        Raises:
            ValueError: a rate out of its range.
        """
        check_lr(lr)
        updates = groups[0]["updates"] if groups else 0
        shown = weight_decay_at(weight_decay, updates, self.schedule)
        check_weight_decay(shown)
        return {"weight_decay": shown, "base_lr": own_copy(lr), "updates": updates}

    def add(self, group: Group, weight_decay: WeightDecay) -> str | None:
        """Take a group in, after those that there are, and show its rate.

        Returns:
            What to say of its weight decay, if anything.
        """
        self._functions.append(weight_decay if depends_on_t(weight_decay) else None)
        if self.schedule is not None:
            show([group], [{"lr": group["base_lr"] * self.schedule(group["updates"])}])
        index = len(self._functions) - 1
        self._check_numbers(index, group)
        return self.warning(index, group)

    def warning(self, index: int, group: Group) -> str | None:
        """What to say once to somebody whose λ looks like a number from torch."""
        is_asked = self._functions[index] is None and "decay" not in self._warned
        found = warning_if_large(group, self.decay(group)) if is_asked else None
        if found is not None:
            self._warned.add("decay")
        return found

    def hear(self, weight_decay: object) -> None:
        """Take note of a λ that is given: in units of a run, it cannot be torch's number."""
        if isinstance(weight_decay, PerUpdate):
            self._warned.add("decay")

    def accept_any_eta(self) -> None:
        """Do not warn of η_t above 1: λ was chosen for the α that the groups hold."""
        self._warned.add("eta")

    def check_numbers(self, groups: Sequence[Group]) -> None:
        """Check what somebody may have written into the groups, but for their rates.

        Raises:
            ValueError: the constructor would not take it.
        """
        for index, group in enumerate(groups):
            self._check_numbers(index, group)

    def _check_numbers(self, index: int, group: Group) -> None:
        right = self._right.get(index)
        if right is None or not right.hold(group):
            own = () if self._direction is None else ("direction", *self.words, *SWITCHES)
            self._right[index] = checked(index, group, self._parts, (*own, "decay"), right)

    def _parts(self, group: Group) -> Sequence[Part]:
        """Whose numbers a group holds: not those of another library's optimizer."""
        if self._direction is None:
            return (self.decay(group),)
        rule = self.rule(group)
        return rule.direction, rule.decay

    # The rates

    @property
    def follow_t(self) -> bool:
        """Whether some group's weight decay is a function of the number of updates."""
        return any(self._functions)

    def function(self, index: int) -> WeightDecay | None:
        """The weight decay of group number ``index`` if it is a function of t; else None."""
        return self._functions[index]

    def rate(self, index: int, group: Group) -> tuple[Any, Any]:
        """(α·η_t, η_t) of the coming update; see :func:`unyoke._step.hyperparameters.rate`.

        Warns once of a λ that looks like torch's, and once of an η_t above 1.

        Raises:
            ValueError: λ is negative, not finite or no number; as :meth:`check_numbers`; or as
                ``rate``.
            RuntimeError: as ``rate``.
        """
        self._check_numbers(index, group)
        lr, eta = rate(self.schedule, index, group)
        weight_decay = group["weight_decay"]
        if not (isinstance(lr, float) and isinstance(weight_decay, float)):
            for name in ("lr", "base_lr", "weight_decay"):
                if isinstance(group[name], torch.Tensor):
                    check_entry(index, name, group[name])
        usual = isinstance(weight_decay, float) and 0.0 <= weight_decay < LARGE
        if not usual or (isinstance(eta, float) and eta > ABOVE_ONE):
            self._look_at(index, group, eta)
        return lr, eta

    def _look_at(self, index: int, group: Group, eta: Any) -> None:
        if isinstance(group["weight_decay"], torch.Tensor):
            return
        check_entry(index, "weight_decay value", group["weight_decay"])
        warn(self.warning(index, group))
        is_moved = self.schedule is None and not isinstance(eta, torch.Tensor)
        if is_moved and "eta" not in self._warned:
            text = warning_if_above_one(group, self.decay(group), eta)
            if text is not None:
                self._warned.add("eta")
                warn(text)

    @property
    def are_plain(self) -> bool:
        """Whether the groups hold all numbers of an update: no function of t gives one."""
        return self.schedule is None and not self.follow_t

    def limits(self, group: Group) -> Mapping[str, Limits] | None:
        """Between which numbers :meth:`rate` neither warns nor refuses; ``least ≤ x < below``.

        None if only a check of a direction's or a decay's own knows.
        """
        rule = self.rule(group)
        own = rule.limits
        return None if own is None else {**own, **rate_limits(rule.decay, self._warned)}

    def schedule_name(self) -> str:
        """The schedule as a checkpoint tells of it, the same in another process."""
        name: str = getattr(self.schedule, "__qualname__", None) or repr(self.schedule)
        return type(self.schedule).__qualname__ if " at 0x" in name else name

    def warning_if_lost(self, schedule: Any, groups: Sequence[Group]) -> str | None:
        """What to say of a checkpoint whose schedule nobody here goes on with; None if nothing.

        Args:
            schedule: the name of the one that the checkpoint's optimizer had; None if it had none.
            groups: as they are now.
        """
        if schedule is None or self.schedule is not None:
            return None
        rates = ", ".join(f"{largest(group['lr']):g}" for group in groups)
        return (
            f"the checkpoint is of a run with schedule={schedule}, and this optimizer has none: lr "
            f"stays where it was then, at {rates}, and the decay with it. Give the constructor the "
            "schedule, or move lr by one of torch's schedulers"
        )

    def refresh(self, groups: Sequence[Group]) -> None:
        """Write the coming update's lr and weight_decay into the groups."""
        show(groups, self.shown(groups, 0))

    def shown(self, groups: Sequence[Group], made: int) -> list[Group]:
        """What the groups will hold after so many more updates: their number, lr and λ.

        Only what follows from the number of updates. Functions of the user's are called here.
        """
        result: list[Group] = [{"updates": group["updates"] + made} for group in groups]
        if self.schedule is not None:
            for group, new in zip(groups, result, strict=True):
                if not self._is_shown_by_device(group):
                    new["lr"] = group["base_lr"] * self.schedule(new["updates"])
        if any(self._functions):
            for given, new in zip(self._functions, result, strict=True):
                if given is not None:
                    new["weight_decay"] = weight_decay_at(given, new["updates"], self.schedule)
        return result

    def _is_shown_by_device(self, group: Group) -> bool:
        """Whether our step on the device writes the group's ``lr``."""
        ours = self.direction is not None
        return ours and group["capturable"] and isinstance(group["lr"], torch.Tensor)

    def check(self, groups: Sequence[Group]) -> None:
        """Refuse groups of which it is not known which weight decay is whose.

        Raises:
            RuntimeError: some were put in by hand; or taken out, and a weight decay is a function
                of t.
        """
        known = len(self._functions)
        if len(groups) > known:
            raise RuntimeError(
                f"there are {len(groups)} parameter groups, and only {known} were added by "
                "add_param_group(), which checks them: take the others out and add them so"
            )
        if self.follow_t and len(groups) != known:
            raise RuntimeError(
                f"there are {len(groups)} parameter groups and there were {known}, of which some "
                "have a weight_decay that is a function of t: leave the groups, and freeze their "
                "parameters (requires_grad_(False) and grad = None); or construct another optimizer"
            )


def _name_of(given: str | Part, library: Any, own: dict[str, Any]) -> str:
    """The name of a part, which is kept among the optimizer's own if the library lacks it."""
    if isinstance(given, str) and given in own:
        return given
    part: Part = library.get(given)
    if library.ALL.get(part.name) is not part and own.setdefault(part.name, part) is not part:
        raise ValueError(
            f"two {type(part).__name__.lower()}s of this optimizer are called {part.name!r}, and "
            "its groups hold names: rename one"
        )
    return str(part.name)


def show(groups: Sequence[Group], shown: Sequence[Group]) -> None:
    """Write into each group what it is to hold; a second time changes nothing."""
    for group, new in zip(groups, shown, strict=True):
        if "lr" in new and isinstance(group["lr"], torch.Tensor):
            with torch.no_grad():  # autograd follows base_lr
                new["lr"] = group["lr"].copy_(new["lr"])
        group.update(new)

"""A story is told to two optimizers; what differs between them, or breaks a promise, is found.

The one that is tested has the story's backend, the other is eager: the definition. They must have
the same weights, state and numbers in every bit after each act, or refuse it with the same kind of
error. With ``exact`` the other is in float64, and is given the tested one's numbers after each
update; so it is where a rule forms sums over a parameter (norms, matrices), which backends add up
in other orders, and there weights and state must be equal but for the rounding of one update: the
next one's gradient may contain the weight, and carries its rounding on into the state.
A refusal is raised by this package itself, and leaves weights, state and numbers as they were.
"""

from __future__ import annotations

import linecache
import os
import traceback
import warnings
from typing import Any, NamedTuple

import torch
from acts import ACTS
from bits import exact_root
from sides import Side, difference, snapshot
from story import Act, Story

import unyoke

HERE = os.path.dirname(unyoke.__file__)
REFUSALS = (ValueError, RuntimeError, TypeError)
LOADING = ("load", "load_torch", "add_group")
"""Acts that are one call of the optimizer's, of which a refusal must leave everything."""


class Difference(NamedTuple):
    """What was found.

    Attributes:
        kind: in a few words, the same for the same fault.
        details: what was seen.
        at: the act's number.
    """

    kind: str
    details: str
    at: int


def tell(story: Story) -> Difference | str:
    """What differs; or how the story ended, in a word."""
    root = torch.sqrt
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sqrt = _root(root)
        try:
            return _told(story)
        finally:
            torch.sqrt = root


def _root(root: Any) -> Any:
    def found(x: torch.Tensor) -> torch.Tensor:
        plain = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
        return exact_root(x.detach()) if plain else root(x)

    return found


def _told(story: Story) -> Difference | str:
    settings = story.settings
    try:
        tested = Side(settings, settings["backend"], exact=False, is_twin=False)
        twin = Side(settings, "eager", exact=settings["exact"], is_twin=True)
    except (ValueError, RuntimeError):
        return "refused at construction"
    refused = 0
    for at, act in enumerate(story.acts):
        for part in _updates(act) if twin.exact or tested.sums else [act]:
            before = snapshot(tested) if part[0] in LOADING else {}
            errors = [_performed(side, part) for side in (tested, twin)]
            found = _compared(part, errors, before, tested, twin)
            if found is None and _is_beyond_cpu(errors[0]):
                return "beyond the cpu backend"
            if found is not None:
                return Difference(found[0], found[1], at)
            if errors[0] is not None:
                refused += 1
                break
    return "with refusals" if refused else "told"


def _updates(act: Act) -> list[Act]:
    """The same act in parts of one update each."""
    name, k, n = act
    if name == "train":
        return [("train_once", k, n + step) for step in range(1 + n % 4)]
    return [("step", k, 0)] * (1 + n % 3) if name == "step" else [act]


def _performed(side: Side, act: Act) -> Exception | None:
    name, k, n = act
    try:
        ACTS[name](side, k, n)
    except Exception as error:
        return error
    return None


def _compared(
    act: Act, errors: Any, before: Any, tested: Side, twin: Side
) -> tuple[str, str] | None:
    one, other = errors
    if tested.changed_by_refusal is not None:
        return "step: refused, and changed", f"{tested.changed_by_refusal}; {_text(one)}"
    for side, error in (("tested", one), ("twin", other)):
        if error is not None and (reason := _unexplained(error)) is not None:
            return f"{act[0]}: {reason}", f"{side}: {_text(error)}"
    if _is_beyond_cpu(one):
        return None
    if (one is None) != (other is None):
        return f"{act[0]}: only one refuses", f"tested: {_text(one)}; twin: {_text(other)}"
    after, theirs = snapshot(tested), snapshot(twin)
    if one is not None and act[0] in LOADING and (where := difference(before, after)):
        return f"{act[0]}: refused, and changed", f"{where}; {_text(one)}"
    if one is not None:  # state that was made before the refusal is of no update
        common = after.keys() & theirs.keys()
        after, theirs = (
            {name: each[name] for name in each if name in common} for each in (after, theirs)
        )
    roughly = twin.exact or tested.sums
    if where := difference(after, theirs, exact=roughly):
        return f"{act[0]}: differs", f"{where}; {_text(one)}"
    if roughly:
        _give(tested, twin)
    return None


def _is_beyond_cpu(error: Exception | None) -> bool:
    """Whether the tested side, asked for by name, has no kernel for what eager can do."""
    return error is not None and str(error).startswith("no backend can run")


def _text(error: Exception | None) -> str:
    if error is None:
        return "went on"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {last.filename}:{last.lineno}: {str(error)[:300]}"


def _unexplained(error: Exception) -> str | None:
    """Why an error is no refusal of ours; None if it is, or is the story's own."""
    frames = traceback.extract_tb(error.__traceback__)
    if not any(frame.filename.startswith(HERE) for frame in frames):
        return None
    last = frames[-1]
    if not isinstance(error, REFUSALS):
        return f"{type(error).__name__} from within"
    line = linecache.getline(last.filename, last.lineno or 0).strip()
    if not last.filename.startswith(HERE) or not line.startswith("raise"):
        return f"{type(error).__name__} that nobody worded"
    return None


def _give(tested: Side, twin: Side) -> None:
    """The tested side's numbers for the one in float64, so that one update is compared."""
    for weight, theirs in zip(tested.weights, twin.weights, strict=True):
        pairs = [(weight.data, theirs.data)]
        own, its = tested.optimizer.state.get(weight, {}), twin.optimizer.state.get(theirs, {})
        pairs += [(own[name], its[name]) for name in own if name in its]
        for one, other in pairs:
            if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
                dense = one.layout is other.layout is torch.strided
                wide = dense and not one.is_meta and one.shape == other.shape
                if wide and not torch.equal(one.double(), other.double()):
                    other.copy_(one)

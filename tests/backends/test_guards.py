"""What a step was prepared for is looked at by identity, in Python and by compiled code alike."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from unyoke import backends
from unyoke.backends._native import tensor_layout
from unyoke.backends._native.data_pointers import Described, Located
from unyoke.backends._native.replay_call import ReplayCall, can_ask
from unyoke.backends.guards import Entries, Guards, Held

Ask = Callable[[Guards], Callable[[], bool]]


def in_python(guards: Guards) -> Callable[[], bool]:
    return guards.holds


def compiled(guards: Guards) -> Callable[[], bool]:
    if tensor_layout.places() is None:
        pytest.skip("compiled code cannot look into Python's objects here")
    return asked(ReplayCall(guards, [], [], []))


def asked(call: ReplayCall) -> Callable[[], bool]:
    """Whether what a call looks at holds; there is nothing else for it to do."""

    def holds() -> bool:
        call.begin(forms=False)
        return not call.make()

    return holds


BOTH = pytest.mark.parametrize("ask", [in_python, compiled])


class Group:
    """Three parameters of one element and equal value; the last has no gradient."""

    def __init__(self) -> None:
        self.params: Any = [torch.nn.Parameter(torch.ones(1)) for _ in range(3)]
        for weight in self.params[:2]:
            weight.grad = torch.ones(1)
        self.states = [{"step": torch.ones(()), "exp_avg": torch.ones(1)} for _ in range(2)]
        self.state: dict[Any, Any] = dict(zip(self.params, self.states, strict=False))

    def guards(self) -> Guards:
        entries = [
            Entries(name, self.states, [state[name] for state in self.states])
            for name in ("step", "exp_avg")
        ]
        contents = [Held.of(self.params), Held.of(self.state)]
        return Guards(contents, entries, self.params[2:])


def another_parameter(group: Group) -> None:
    group.params[0] = torch.nn.Parameter(torch.ones(1))
    group.params[0].grad = torch.ones(1)


def another_order(group: Group) -> None:
    group.params[:2] = group.params[1::-1]


def one_more(group: Group) -> None:
    group.params.append(torch.nn.Parameter(torch.ones(1)))


def one_less(group: Group) -> None:
    group.params.pop()


def a_gradient_more(group: Group) -> None:
    group.params[2].grad = torch.ones(1)


def another_state_tensor(group: Group) -> None:
    group.states[1]["exp_avg"] = torch.ones(1)


def a_state_tensor_less(group: Group) -> None:
    del group.states[1]["exp_avg"]


def an_equal_state(group: Group) -> None:
    group.state[group.params[1]] = dict(group.states[1])


def a_state_more(group: Group) -> None:
    group.state[group.params[2]] = {}


def a_state_less(group: Group) -> None:
    del group.state[group.params[0]]


def states_in_another_order(group: Group) -> None:
    group.state[group.params[0]] = group.state.pop(group.params[0])


CHANGES = [
    *(another_parameter, another_order, one_more, one_less),
    *(a_gradient_more, another_state_tensor, a_state_tensor_less),
    *(an_equal_state, a_state_more, a_state_less, states_in_another_order),
]


def new_gradients(group: Group) -> None:
    for weight in group.params[:2]:
        weight.grad = torch.full((1,), 2.0)


def moved(group: Group) -> None:
    group.params[0].data = torch.zeros(1)
    group.states[0]["exp_avg"].data = torch.zeros(1)


def one_state_more(group: Group) -> None:
    group.states[0]["mine"] = torch.zeros(1)


@BOTH
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed(ask: Ask, change: Callable[[Group], None]) -> None:
    group = Group()
    holds = ask(group.guards())
    assert holds()
    change(group)
    assert not holds()


@BOTH
@pytest.mark.parametrize("change", [new_gradients, moved, one_state_more])
def test_the_rest_is_looked_at_elsewhere(ask: Ask, change: Callable[[Group], None]) -> None:
    group = Group()
    holds = ask(group.guards())
    change(group)
    assert holds()


@BOTH
def test_other_entries_come_and_go(ask: Ask) -> None:
    """A dictionary that has changed is looked at again, and then again when it changes."""
    group = Group()
    holds = ask(group.guards())
    for number in range(3):
        assert holds()
        group.states[0]["mine"] = torch.full((1,), float(number))
        assert holds()
        group.states[0].pop("mine")
    another_state_tensor(group)
    assert not holds()


def test_python_s_dictionaries_have_versions_here() -> None:
    """3.11 and 3.12 have; elsewhere every entry is looked up."""
    known = tensor_layout.mapping_version()
    assert known == (3 if sys.version_info < (3, 13) else None)


@BOTH
def test_all_of_joined_scenes_must_hold(ask: Ask) -> None:
    for changed in range(3):
        groups = [Group() for _ in range(3)]
        holds = ask(Guards.joined([group.guards() for group in groups]))
        assert holds()
        another_state_tensor(groups[changed])
        assert not holds()


@BOTH
def test_an_empty_scene_holds(ask: Ask) -> None:
    assert ask(Guards())()
    assert ask(Guards([Held.of([]), Held.of({})]))()


@pytest.mark.usefixtures("looks_into_objects")
def test_compiled_code_asks_of_tensors_too() -> None:
    """Each check says with 1 that something has changed; then nothing is counted."""
    group = Group()
    weights, grads = group.params[:2], [weight.grad for weight in group.params[:2]]
    columns = [weights, grads, [state["exp_avg"] for state in group.states]]
    addresses = torch.zeros(3, 2, dtype=torch.int64).numpy()
    located = Located(Described.of(columns), addresses)
    holds = asked(ReplayCall(Guards(), [located.check], [], []))
    before = [weight._version for weight in weights]
    assert holds()
    assert [weight._version for weight in weights] == [version + 1 for version in before]
    assert addresses.tolist() == [[each.data_ptr() for each in column] for column in columns]
    group.params[1].grad = None
    assert not holds()
    assert [weight._version for weight in weights] == [version + 1 for version in before]


def test_compiled_code_asks_where_it_can() -> None:
    """A slip there would only cost time, so nobody would notice."""
    guards = Group().guards()
    assert tensor_layout.places() is not None
    assert can_ask(guards)
    assert isinstance(backends.replay_call(guards, [], []), ReplayCall)
    assert backends.replay_call(Guards([Held((), [])]), [], []) is None

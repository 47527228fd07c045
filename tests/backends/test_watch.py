"""What a step was prepared for is looked at by identity, in Python and by compiled code alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from unyoke import backends
from unyoke.backends import watch
from unyoke.backends.cpu import objects
from unyoke.backends.cpu import watch as compiled

BOTH = pytest.mark.parametrize("kind", [watch, compiled], ids=["Python", "compiled"])


@pytest.fixture(autouse=True)
def _only_where_it_can(request: pytest.FixtureRequest) -> None:
    if "compiled" in request.node.name and objects.places() is None:
        pytest.skip("compiled code cannot look into Python's objects here")


class Group:
    """Three parameters of one element and equal value; the last has no gradient."""

    def __init__(self) -> None:
        self.params: Any = [torch.nn.Parameter(torch.ones(1)) for _ in range(3)]
        for weight in self.params[:2]:
            weight.grad = torch.ones(1)
        self.states = [{"step": torch.ones(()), "exp_avg": torch.ones(1)} for _ in range(2)]

    def watched(self, kind: Any) -> watch.Watch:
        entries = [watch.Entry(s, name, tensor) for s in self.states for name, tensor in s.items()]
        made: watch.Watch = kind.Watch(self.params, self.params[:2], entries)
        return made


def another_parameter(group: Group) -> None:
    group.params[0] = torch.nn.Parameter(torch.ones(1))
    group.params[0].grad = torch.ones(1)


def another_order(group: Group) -> None:
    group.params[:2] = group.params[1::-1]


def one_more(group: Group) -> None:
    group.params.append(torch.nn.Parameter(torch.ones(1)))


def one_less(group: Group) -> None:
    group.params.pop()


def a_gradient_less(group: Group) -> None:
    group.params[1].grad = None


def a_gradient_more(group: Group) -> None:
    group.params[2].grad = torch.ones(1)


def another_state(group: Group) -> None:
    group.states[1]["exp_avg"] = torch.ones(1)


def a_state_less(group: Group) -> None:
    del group.states[1]["exp_avg"]


CHANGES = [
    *(another_parameter, another_order, one_more, one_less),
    *(a_gradient_less, a_gradient_more, another_state, a_state_less),
]


def new_gradients(group: Group) -> None:
    for weight in group.params[:2]:
        weight.grad = torch.full((1,), 2.0)


def moved(group: Group) -> None:
    group.params[0].data = torch.zeros(1)
    group.states[0]["exp_avg"].data = torch.zeros(1)


def one_state_more(group: Group) -> None:
    group.states[0]["mine"] = torch.zeros(1)


def a_tuple(group: Group) -> None:
    group.params = tuple(group.params)


@BOTH
class TestAGroup:
    @pytest.mark.parametrize("change", CHANGES)
    def test_a_change_is_noticed(self, kind: Any, change: Callable[[Group], None]) -> None:
        group = Group()
        watched = group.watched(kind)
        assert watched.holds(group.params)
        change(group)
        assert not watched.holds(group.params)

    @pytest.mark.parametrize("change", [new_gradients, moved, one_state_more, a_tuple])
    def test_the_rest_is_looked_at_elsewhere(
        self, kind: Any, change: Callable[[Group], None]
    ) -> None:
        group = Group()
        watched = group.watched(kind)
        change(group)
        assert watched.holds(group.params)


@BOTH
class TestValues:
    def test_equal_is_not_the_same(self, kind: Any) -> None:
        mapping: dict[str, Any] = {"a": {}, "b": {}}
        values = kind.Values(mapping)
        assert values.hold(mapping)
        assert values.hold(dict(mapping))
        mapping["b"] = {}
        assert not values.hold(mapping)

    def test_order_and_number(self, kind: Any) -> None:
        one, two = [1], [2]
        values = kind.Values({"a": one, "b": two})
        assert not values.hold({"a": two, "b": one})
        assert not values.hold({"a": one})
        assert not values.hold({"a": one, "b": two, "c": one})
        assert not values.hold({})

    def test_nothing(self, kind: Any) -> None:
        assert kind.Values().hold({})
        assert not kind.Values().hold({"a": 1})


def test_compiled_code_asks_where_it_can() -> None:
    """A slip there would only cost time, so nobody would notice."""
    group = Group()
    assert objects.places() is not None
    assert type(backends.watch_group(group.params, group.params[:2], [])) is compiled.Watch
    assert type(backends.watch_values({})) is compiled.Values

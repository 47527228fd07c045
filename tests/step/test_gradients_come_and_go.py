"""Other parameters have a gradient at each step: a plan's members, and those that are chosen."""

import pytest
import torch

import unyoke

pytestmark = pytest.mark.usefixtures("definition")

MAKE = {
    "AdamW": lambda params: unyoke.AdamW(params, lr=0.1, backend="cpu"),
    "NAdam": lambda params: unyoke.Optimizer(params, lr=0.1, direction="nadam", backend="cpu"),
    "eager": lambda params: unyoke.AdamW(params, lr=0.1, backend="eager"),
}
"""NAdam keeps a scalar beside the counter."""


class Twins:
    """Parameters in one group, and each again with an optimizer to itself."""

    def __init__(self, make, shapes):
        self.weights = [torch.nn.Parameter(torch.ones(shape)) for shape in shapes]
        self.alone = [torch.nn.Parameter(torch.ones(shape)) for shape in shapes]
        self.optimizer = make(self.weights)
        self.each = [make([weight]) for weight in self.alone]
        self.random = torch.Generator().manual_seed(0)

    def step(self, chosen):
        for place, pair in enumerate(zip(self.weights, self.alone, strict=True)):
            for weight in pair:
                weight.grad = None
            if place in chosen:
                grad = torch.randn(pair[0].shape, generator=self.random).to(pair[0].dtype)
                for weight in pair:
                    weight.grad = grad.clone()
                self.step_alone(place)
        self.optimizer.step()
        self.check()

    def step_alone(self, place):
        stepper = self.each[place]._stepper
        stepper.plans.clear()
        stepper.replay = None
        self.each[place].step()

    def check(self):
        for place, (one, other) in enumerate(zip(self.weights, self.alone, strict=True)):
            assert torch.equal(one, other), place
            mine, theirs = self.optimizer.state[one], self.each[place].state[other]
            assert mine.keys() == theirs.keys(), place
            assert all(torch.equal(mine[name], theirs[name]) for name in theirs), place


SHAPES = [(5,), (3, 4), (), (40_000,), (1,), (7,)]


@pytest.mark.parametrize("name", MAKE)
def test_each_parameter_goes_its_own_way(name):
    twins = Twins(MAKE[name], SHAPES)
    patterns = [{0, 1, 2, 3}, {1, 2, 3}, {4}, {0, 4, 5}, {0, 4, 5}, {0, 4, 5}, set(range(6)), {2}]
    for chosen in patterns * 3:
        twins.step(chosen)


def test_members_are_not_captured_anew():
    twins = Twins(MAKE["AdamW"], SHAPES)
    twins.step(set(range(6)))
    plan = twins.optimizer._stepper.plans[0]
    for chosen in ({1, 2}, {5}, {0, 3, 4}):
        twins.step(chosen)
        assert twins.optimizer._stepper.plans[0] is plan
        assert len(plan.work.weights) == len(chosen)


def everything(twins):
    twins.step(set(range(6)))
    twins.step({0, 1})


def test_state_of_a_member_without_gradient_can_be_replaced():
    twins = Twins(MAKE["AdamW"], SHAPES)
    everything(twins)
    for weight, optimizer in ((twins.weights[3], twins.optimizer), (twins.alone[3], twins.each[3])):
        optimizer.state[weight]["exp_avg"] = torch.full(SHAPES[3], 0.5)
        optimizer.state[weight]["step"].fill_(7)
    for chosen in ({0, 3}, {3}, {1, 3}):
        twins.step(chosen)


def test_the_counter_of_a_member_without_gradient_can_be_written():
    twins = Twins(MAKE["AdamW"], SHAPES)
    for _ in range(3):
        everything(twins)
    for _ in range(3):
        twins.step({0, 1})  # by now a replay
    for weight, optimizer in ((twins.weights[5], twins.optimizer), (twins.alone[5], twins.each[5])):
        optimizer.state[weight]["step"].fill_(7)
    for chosen in ({0, 1}, {0, 1}, {1, 5}):
        twins.step(chosen)


def test_a_member_is_cast_while_it_has_no_gradient():
    twins = Twins(MAKE["AdamW"], SHAPES)
    everything(twins)
    for weight in (twins.weights[4], twins.alone[4]):
        weight.data = weight.data.double()
    for chosen in ({0}, {4, 0}, {4}):
        twins.step(chosen)


def test_gradients_of_a_member_come_in_another_order():
    twins = Twins(lambda params: unyoke.AdamW(params, lr=0.1), [(4, 6)] * 3)
    twins.step({0, 1, 2})
    for place in (1, 2, 0):
        for weight in (twins.weights[place], twins.alone[place]):
            weight.grad = torch.arange(24.0).reshape(6, 4).t() / 10
        for weight in twins.weights[:place] + twins.weights[place + 1 :]:
            weight.grad = None
        twins.optimizer.step()
        twins.step_alone(place)
        twins.check()


def test_state_that_is_dropped_begins_anew():
    twins = Twins(MAKE["AdamW"], SHAPES)
    everything(twins)
    del twins.optimizer.state[twins.weights[5]], twins.each[5].state[twins.alone[5]]
    for chosen in ({5, 0}, {5}):
        twins.step(chosen)
    assert twins.optimizer.state[twins.weights[5]]["step"] == 2

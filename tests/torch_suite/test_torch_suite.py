"""torch's own inputs for testing optimizers, run against ours.

The inputs are torch.testing._internal.common_optimizers: for each class its constructor arguments,
its bad arguments and its schedulers. They are given to our optimizer of the same algorithm, and
what torch's test suite asks of an optimizer is asked here (in brackets, its names in
test/test_optim.py).

    asked of every class with a counterpart                      here
    constructor inputs in three dtypes (test_forloop…)           same path as torch's
    complex parameters (test_complex)                            same path as torch's
    foreach against the loop (test_foreach_matches_forloop)      each backend ≡ both of torch's
    schedulers of OptimizerInfo (test_…_with_lrsched)            same path as torch's
    bad arguments (test_errors)                                  same type, but for those below
    parameter groups (test_param_groups_lr, _weight_decay)       same path as torch's
    tensor lr (test_tensor_lr)                                   same path as a number
    no gradient, zero gradients (test_step_is_noop_…)            nothing moves
    sparse gradients (test_rosenbrock_sparse)                    same path, or refused
    state dicts (test_load_nontensor_step, test_save_load_…,
        test_deepcopy_copies_all_public_attrs)                   equal, and independent
    hooks (test_step_pre_hook, test_state_dict_pre_hook, …)      called once, in order
    closures (test_step_requires_closure, …)                     the loss falls

    cannot apply                                                 because
    Adafactor, ASGD, LBFGS, Rprop, SparseAdam                    no counterpart (counterparts.py)
    fused, foreach and capturable (test_fused_…, _cudagraphs)    backends take their place
    "foreach=True does not go with tensor lr, betas"             there is no foreach
    "Tensor lr must be 1-element"                                [K] is K stacked models here
    "betas must be either both floats or both Tensors"           a number and a tensor go together
    Muon: "only support 2D", "complex" at the step               refused by the constructor
    peak memory on CUDA, grad scaling with fused kernels         there is no fused
    test_can_load_older_state_dict                               is about torch's older versions
    params=None with a bad argument                              the params are read first
    gradients by NAdam's mu_product (TestDifferentiable…)        a number here, as step is in torch
"""

from __future__ import annotations

import copy
import io
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.testing._internal.common_optimizers import OptimizerErrorEnum, OptimizerInfo, optim_db

import unyoke
from unyoke import backends
from unyoke.interchange.counterparts import FORMS, NONE_HERE, Form

INFOS = [info for info in optim_db if any(form.optimizer is info.optim_cls for form in FORMS)]
Make = Callable[..., torch.optim.Optimizer]

# As in test_convert.py: what torch keeps in float32 (NAdam) or bfloat16 (Muon).
TOLERANCE = {"NAdam": 1e-6, "Muon": 2e-2}


def each_info() -> Any:
    return pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)


def inputs(info: OptimizerInfo) -> list[dict[str, Any]]:
    return [copy.deepcopy(given.kwargs) for given in info.optim_inputs_func(device="cpu")]


def each_input() -> Any:
    cases = [(info, kwargs) for info in INFOS for kwargs in inputs(info)]
    return pytest.mark.parametrize(
        ("info", "kwargs"), cases, ids=[f"{info.name}-{kwargs}" for info, kwargs in cases]
    )


def completed(info: OptimizerInfo, kwargs: dict[str, Any]) -> tuple[Form, dict[str, Any]]:
    """The algorithm, and all its hyperparameters in torch's words."""
    probe = info.optim_cls([torch.nn.Parameter(torch.ones(1, 1))])
    group = {**probe.defaults, **kwargs}
    own = [form for form in FORMS if form.optimizer is info.optim_cls]
    return next(form for form in own if form.matches(group)), group


def ours(info: OptimizerInfo, params: Any, backend: str = "eager", **kwargs: Any) -> Any:
    """Our optimizer with torch's arguments, constructed and not converted."""
    form, group = completed(info, kwargs)
    return unyoke.Optimizer(
        params,
        lr=group["lr"],
        weight_decay=group["weight_decay"],
        direction=form.direction,
        decay="lr_coupled" if form.is_decoupled(group) else "l2",
        maximize=group.get("maximize", False),
        backend=backend,
        **form.hyperparameters(group),
    )


def theirs(info: OptimizerInfo, params: Any, **kwargs: Any) -> torch.optim.Optimizer:
    return info.optim_cls(params, **kwargs)


def parameters(dtype: torch.dtype = torch.float64, count: int = 2) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(2)
    return [
        torch.nn.Parameter(torch.randn(3, 4 + n, generator=generator, dtype=dtype))
        for n in range(count)
    ]


def weights(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def run(optimizer: torch.optim.Optimizer, updates: int = 12, after: Any = int) -> list[Any]:
    generator = torch.Generator().manual_seed(5)
    for _ in range(updates):
        for p in weights(optimizer):
            noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
            p.grad = (0.3 * p.detach() + noise).to(p.dtype)
        optimizer.step()
        after()
    return [p.detach().clone() for p in weights(optimizer)]


def assert_same(info: OptimizerInfo, found: list[Any], expected: list[Any], float32: bool) -> None:
    tolerance = max(TOLERANCE.get(info.name, 0.0), 3e-6 if float32 else 1e-12)
    for mine, its in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, its, rtol=tolerance, atol=tolerance)


def test_every_class_of_torch_is_run_or_said_to_have_no_counterpart() -> None:
    named = {info.name for info in optim_db}
    assert {info.name for info in INFOS} | set(NONE_HERE) >= named
    assert len(INFOS) >= 9


@each_input()
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.complex128], ids=str)
def test_inputs(info: OptimizerInfo, kwargs: dict[str, Any], dtype: torch.dtype) -> None:
    if dtype.is_complex and not info.supports_complex:
        pytest.skip(f"torch's {info.name} takes no complex parameters")
    if info.name == "Muon" and dtype == torch.float32:
        pytest.skip("twelve Newton–Schulz runs in bfloat16: compared in float64 and by convert")
    expected = run(theirs(info, parameters(dtype), **copy.deepcopy(kwargs)))
    found = run(ours(info, parameters(dtype), **copy.deepcopy(kwargs)))
    assert_same(info, found, expected, dtype == torch.float32)
    assert any((a != b).any() for a, b in zip(found, parameters(dtype), strict=True))


@each_info()
@pytest.mark.parametrize("backend", ["auto", *backends.ALL])
def test_every_backend_is_the_loop_and_foreach(info: OptimizerInfo, backend: str) -> None:
    kwargs: dict[str, Any] = {"lr": 0.02, "weight_decay": 0.1}
    if info.name == "Muon":
        expected = [run(theirs(info, parameters(torch.float64), **kwargs))]
    else:
        expected = [
            run(theirs(info, parameters(), **kwargs, foreach=foreach)) for foreach in (False, True)
        ]
    try:
        found = run(ours(info, parameters(), backend=backend, **kwargs))
    except RuntimeError as objection:
        pytest.skip(str(objection))
    for one in expected:
        # compiled formulas may contract and reassociate: 1e-10
        tolerance = max(TOLERANCE.get(info.name, 0.0), 1e-10)
        for mine, its in zip(found, one, strict=True):
            torch.testing.assert_close(mine, its, rtol=tolerance, atol=tolerance)


def schedulers() -> Iterator[Any]:
    for info in INFOS:
        for number, made in enumerate(info.scheduler_inputs):
            yield pytest.param(info, made, id=f"{info.name}-{number}")


@pytest.mark.parametrize(("info", "made"), list(schedulers()))
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_schedulers(info: OptimizerInfo, made: Any) -> None:
    """Ours and torch's under the same schedulers, from the same learning rate."""

    def scheduled(optimizer: torch.optim.Optimizer) -> list[Any]:
        each = [make(optimizer) for make in made]

        def after() -> None:
            for scheduler in each:
                plateau = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
                scheduler.step(*((1.0,) if plateau else ()))

        found = run(optimizer, 25, after)
        return [*found, torch.tensor(optimizer.param_groups[0]["lr"], dtype=torch.float64)]

    kwargs = {"lr": 0.02, "weight_decay": 0.1}
    assert_same(
        info,
        scheduled(ours(info, parameters(), **kwargs)),
        scheduled(theirs(info, parameters(), **kwargs)),
        False,
    )


ANOTHER_RULE = (
    "Tensor lr must be 1-element",
    "foreach",
    "betas must be either both floats or both Tensors",
    "only support 2D parameters",
    "does not support complex parameters",
)
"""Bad arguments that mean something here, or that are refused at another place; see the table."""


def errors() -> Iterator[Any]:
    for info in INFOS:
        for error in info.optim_error_inputs_func(device="cpu", dtype=torch.float32):
            desc = error.optimizer_error_input.desc
            if not any(part in desc for part in ANOTHER_RULE):
                yield pytest.param(info, error, id=f"{info.name}-{desc}")


@pytest.mark.parametrize(("info", "error"), list(errors()))
def test_errors(info: OptimizerInfo, error: Any) -> None:
    assert error.error_on is OptimizerErrorEnum.CONSTRUCTION_ERROR
    given = error.optimizer_error_input
    params = parameters() if given.params is None else given.params
    if issubclass(error.error_type, Warning):
        with pytest.warns(error.error_type, match=error.error_regex):
            ours(info, params, **given.kwargs)
        return
    with pytest.raises(error.error_type) as caught:
        ours(info, params, **given.kwargs)
    said = str(caught.value)
    names_the_value = any(str(value) in said for value in given.kwargs.values())
    assert names_the_value or re.search(error.error_regex, said), said


@each_info()
def test_param_groups(info: OptimizerInfo) -> None:
    def grouped(make: Make) -> list[Any]:
        a, b, c = parameters(count=3)
        return run(
            make(
                info,
                [{"params": [a]}, {"params": [b], "lr": 0.3}, {"params": [c], "weight_decay": 0.5}],
                lr=0.02,
                weight_decay=0.1,
            )
        )

    assert_same(info, grouped(ours), grouped(theirs), False)


@each_info()
def test_tensor_lr(info: OptimizerInfo) -> None:
    number = run(ours(info, parameters(), lr=0.02, weight_decay=0.1))
    tensor = run(
        ours(info, parameters(), lr=torch.tensor(0.02, dtype=torch.float64), weight_decay=0.1)
    )
    for mine, its in zip(tensor, number, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-12, atol=1e-13)


@each_info()
def test_step_is_noop_when_params_have_no_grad(info: OptimizerInfo) -> None:
    for params in (parameters(), [torch.nn.Parameter(torch.ones(3, 3), requires_grad=False)]):
        optimizer = ours(info, params, lr=0.1, weight_decay=0.1)
        before = [p.detach().clone() for p in params]
        optimizer.step()
        assert all(torch.equal(p, b) for p, b in zip(params, before, strict=True))
        assert all(float(state.get("step", 0)) == 0 for state in optimizer.state.values())


@each_input()
def test_step_is_noop_for_zero_grads(info: OptimizerInfo, kwargs: dict[str, Any]) -> None:
    params = parameters()
    optimizer = ours(info, params, **{**kwargs, "weight_decay": 0.0})
    before = [p.detach().clone() for p in params]
    for p in params:
        p.grad = torch.zeros_like(p)
    optimizer.step()
    assert all(torch.equal(p, b) for p, b in zip(params, before, strict=True))


@each_info()
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # of torch's own Adagrad
def test_sparse(info: OptimizerInfo) -> None:
    """Where torch takes sparse gradients (without weight decay), ours give the same path."""

    def sparse(make: Make) -> torch.Tensor:
        p = torch.nn.Parameter(torch.ones(6, 3, dtype=torch.float64))
        optimizer = make(info, [p], lr=0.1, weight_decay=0.0)
        for t in range(5):
            rows = torch.tensor([[t, 5, 5]])
            values = torch.randn(
                3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(t)
            )
            p.grad = torch.sparse_coo_tensor(rows, values, (6, 3), check_invariants=True)
            optimizer.step()
        return p.detach()

    if info.supports_sparse:
        torch.testing.assert_close(sparse(ours), sparse(theirs), rtol=1e-12, atol=1e-12)
    else:
        with pytest.raises(RuntimeError, match="sparse"):
            sparse(ours)


@each_input()
def test_state_dict_round_trips(info: OptimizerInfo, kwargs: dict[str, Any]) -> None:
    """Through torch.save and weights_only, and by deepcopy: equal, and then independent."""
    first = ours(info, parameters(), **kwargs)
    run(first, 4)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = ours(info, [torch.nn.Parameter(p.detach().clone()) for p in weights(first)], **kwargs)
    second.load_state_dict(torch.load(file, weights_only=True))
    third = copy.deepcopy(first)
    expected = run(first, 4)
    for twin in (second, third):
        for mine, its in zip(run(twin, 4), expected, strict=True):
            assert torch.equal(mine, its)


@each_info()
def test_load_nontensor_step(info: OptimizerInfo) -> None:
    optimizer = ours(info, parameters())
    run(optimizer, 3)
    saved = copy.deepcopy(optimizer.state_dict())
    for state in saved["state"].values():
        state["step"] = float(state["step"])
    optimizer.load_state_dict(saved)
    assert all(torch.is_tensor(state["step"]) for state in optimizer.state.values())
    assert all(float(state["step"]) == 3 for state in optimizer.state.values())
    run(optimizer, 1)


@each_info()
def test_hooks(info: OptimizerInfo) -> None:
    optimizer = ours(info, parameters())
    said: list[str] = []
    for name in ("step_pre_hook", "step_post_hook", "state_dict_pre_hook", "state_dict_post_hook"):
        getattr(optimizer, f"register_{name}")(lambda *_, name=name: said.append(name))
    for name in ("load_state_dict_pre_hook", "load_state_dict_post_hook"):
        getattr(optimizer, f"register_{name}")(lambda *_, name=name: said.append(name))
    every = [
        register_optimizer_step_pre_hook(lambda *_: said.append("pre")),
        register_optimizer_step_post_hook(lambda *_: said.append("post")),
    ]
    try:
        run(optimizer, 1)
        optimizer.load_state_dict(optimizer.state_dict())
    finally:
        for handle in every:
            handle.remove()
    assert said == [
        "pre",
        "step_pre_hook",
        "step_post_hook",
        "post",
        "state_dict_pre_hook",
        "state_dict_post_hook",
        "load_state_dict_pre_hook",
        "load_state_dict_post_hook",
    ]


@each_info()
def test_hooks_may_replace_state_dicts(info: OptimizerInfo) -> None:
    optimizer = ours(info, parameters())
    run(optimizer, 2)
    saved = optimizer.state_dict()
    handle = optimizer.register_load_state_dict_pre_hook(lambda *_: copy.deepcopy(saved))
    optimizer.load_state_dict({"state": {}, "param_groups": []})
    handle.remove()
    assert all(float(state["step"]) == 2 for state in optimizer.state.values())


@each_info()
def test_closure(info: OptimizerInfo) -> None:
    params = parameters()
    optimizer = ours(info, params, lr=0.01)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.stack([(p**2).sum() for p in params]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = optimizer.step(closure).item()
        for _ in range(60):
            last = optimizer.step(closure).item()
    assert last < first

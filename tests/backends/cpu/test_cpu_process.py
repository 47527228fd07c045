"""The kernel among threads, forks, folders and other packages."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from following_backends import everything, normal

import unyoke
from unyoke.backends._native.functions import fingerprint
from unyoke.backends.cpu import threads as team
from unyoke.backends.cpu import workers
from unyoke.primitives import exp, sqrt

LARGE = 3 * workers.WORTH_WAKING + 12_345


@pytest.fixture
def threads() -> Iterator[Any]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(params=["torch's threads", "own threads"])
def lent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way to have threads; own ones serve where torch does not lend its."""
    if request.param == "own threads":
        monkeypatch.setattr(workers, "_is_first_process", False)
    elif team.parallel() is None:
        pytest.skip("this torch has no OpenMP of GNU's kind")


def stepped(size: int = LARGE, **settings: Any) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weights = [torch.nn.Parameter(normal((n,), generator, torch.float32)) for n in (size, 77)]
    torch.manual_seed(0)
    optimizer = unyoke.AdamW(weights, lr=0.02, backend="cpu", **settings)
    for _ in range(2):
        for weight in weights:
            weight.grad = normal(weight.shape, generator, torch.float32)
        optimizer.step()
    return everything(optimizer)


def python(script: str, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


STEP = """
import torch, unyoke
weight = torch.nn.Parameter(torch.ones(100))
weight.grad = torch.ones(100)
optimizer = unyoke.SGDW([weight], lr=0.25, momentum=0.0, weight_decay=0.0)
for _ in range(3):  # the last in the short way, where there is one
    optimizer.step()
assert torch.equal(weight, torch.full((100,), 0.25)), weight
(plan,) = optimizer._stepper.plans.values()
print([backend.name for backend, _ in plan.assignments])
"""


def shares(sizes: Any) -> workers.Shares:
    return workers.Shares(np.array(sizes, dtype=np.int64), 0, 0)


class TestThreads:
    @pytest.mark.usefixtures("lent")
    @pytest.mark.parametrize("settings", [{}, {"state_dtype": "int8", "rounding": "stochastic"}])
    def test_any_number_gives_the_same_bits(self, threads: Any, settings: Any) -> None:
        found = []
        for count in (1, 2, 3):
            threads(count)
            found.append(stepped(**settings))
        for other in found[1:]:
            assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))

    def test_all_chunks_are_shared_out_once(self) -> None:
        sizes = [5, workers.SHARE, 1, 7, 3 * workers.SHARE, *[100] * 9000]
        cuts = shares(sizes).cuts
        assert cuts[0] == 0
        assert cuts[-1] == len(sizes)
        assert cuts == sorted(set(cuts))
        assert len(cuts) > 3

    def test_two_chunks_are_two_shares(self) -> None:
        assert shares([workers.SHARE, workers.SHARE]).cuts == [0, 1, 2]

    def test_nothing_to_do_is_no_share(self) -> None:
        assert shares([]).cuts == [0]

    @pytest.mark.usefixtures("lent")
    @pytest.mark.parametrize("count", [1, 2])
    def test_every_share_is_done_once(self, threads: Any, count: int) -> None:
        threads(count)
        told: list[tuple[int, int, int]] = []
        prototype = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_int64] * 5)
        native = prototype(lambda result, error, *share: told.append(share) or 0)
        kernel = ctypes.cast(native, ctypes.c_void_p).value
        assert kernel is not None
        work = workers.Shares(np.full(64, workers.SHARE), kernel, 7)
        every = [(7, k, k + 1) for k in range(64)]
        for times in (1, 2):
            work.begin()
            work.run()
            work.run()  # as after an interrupt: nothing is left
            assert sorted(told) == sorted(every * times)

    @pytest.mark.usefixtures("lent")
    def test_helpers_are_waited_for_after_an_interrupt(self) -> None:
        class Interrupted:
            def result(self) -> None:
                if waits.pop():
                    raise KeyboardInterrupt

        waits, work = [False, True], shares([workers.SHARE] * 64)
        work.begin()
        work._words[team.NEXT] = len(work.cuts)  # the helper has done everything
        work._helpers = [Interrupted()]  # type: ignore[list-item]
        with pytest.raises(KeyboardInterrupt):
            work.wait()
        work.wait()
        assert not waits + work._helpers

    @pytest.mark.slow
    @pytest.mark.usefixtures("lent")
    def test_of_python_step_different_optimizers_at_once(self, threads: Any) -> None:
        """Each of them shares out its work among the same helpers."""
        threads(2)
        expected = stepped()
        found: list[list[torch.Tensor]] = []
        runners = [threading.Thread(target=lambda: found.append(stepped())) for _ in range(4)]
        for runner in runners:
            runner.start()
        for runner in runners:
            runner.join()
        assert len(found) == 4
        for each in found:
            assert all(torch.equal(one, two) for one, two in zip(each, expected, strict=True))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_steps_go_on_in_a_forked_process() -> None:
    """With the helpers of the parent gone, in parent and child alike."""
    script = f"""
    import os, torch, unyoke
    torch.set_num_threads(2)
    weight = torch.nn.Parameter(torch.ones({LARGE}))
    weight.grad = torch.ones({LARGE})
    optimizer = unyoke.SGDW([weight], lr=0.25, momentum=0.0, weight_decay=0.0, backend="cpu")
    optimizer.step()
    child = os.fork()
    optimizer.step()
    # not torch's own ==, whose OpenMP threads hang after a fork
    assert (weight.detach().numpy() == 0.5).all()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    """
    python(script)


@pytest.mark.slow
def test_steps_at_the_interpreters_exit() -> None:
    """When no more threads can be started."""
    script = f"""
    import atexit, torch, unyoke
    torch.set_num_threads(2)
    weight = torch.nn.Parameter(torch.ones({LARGE}))
    weight.grad = torch.ones({LARGE})
    optimizer = unyoke.SGDW([weight], lr=0.25, momentum=0.0, weight_decay=0.0, backend="cpu")
    def last():
        optimizer.step()
        print("done", bool((weight == 0.75).all()))
    atexit.register(last)
    """
    assert python(script).strip() == "done True"


class TestCache:
    @pytest.mark.slow
    def test_a_second_process_needs_no_numba_unless_files_are_damaged(self, tmp_path: Path) -> None:
        folder = {"UNYOKE_CACHE_DIR": str(tmp_path)}
        tell = STEP + "import sys; print('numba' in sys.modules)"
        assert python(tell, **folder).split() == ["['cpu']", "True"]
        assert python(tell, **folder).split() == ["['cpu']", "False"]
        first, second, third, *_ = tmp_path.iterdir()
        first.write_bytes(first.read_bytes()[:-100])
        second.write_bytes(b"")
        third.unlink()
        assert python(tell, **folder).split() == ["['cpu']", "True"]
        assert python(tell, **folder).split() == ["['cpu']", "False"]

    @pytest.mark.slow
    def test_a_folder_that_cannot_be_written_costs_time_only(self) -> None:
        assert python(STEP, UNYOKE_CACHE_DIR="/dev/null/nowhere").strip() == "['cpu']"

    @pytest.mark.slow
    def test_processes_that_write_at_once(self, tmp_path: Path) -> None:
        environment = {**os.environ, "UNYOKE_CACHE_DIR": str(tmp_path)}
        command = [sys.executable, "-c", STEP]
        runs = [subprocess.Popen(command, env=environment) for _ in range(2)]
        assert [run.wait(timeout=120) for run in runs] == [0, 0]
        assert {path.suffix for path in tmp_path.iterdir()} == {".o"}

    def test_another_formula_has_another_key(self) -> None:
        def scaled(size: float) -> Any:
            def formula(x: float) -> float:
                return size * x

            return formula

        def calls(helper: Any) -> Any:
            return lambda x: helper(x)

        formulas = [scaled(2.0), scaled(3.0), calls(scaled(2.0)), calls(scaled(3.0))]
        formulas += [lambda x: 2.0 * x, lambda x: 3.0 * x, lambda x: exp(x), lambda x: sqrt(x)]
        assert len({fingerprint(formula) for formula in formulas}) == len(formulas)
        assert fingerprint(scaled(2.0)) == fingerprint(scaled(2.0))


@pytest.mark.slow
@pytest.mark.parametrize("package", ["numba", "llvmlite"])
def test_without_numba_eager_serves_and_the_reason_is_named(package: str) -> None:
    hide = f"""
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == {package!r} else find(name, *rest)
sys.modules[{package!r}] = None
"""
    ask = f"""
from unyoke import backends
assert {package!r} in dict(backends.table())["cpu"]
optimizer.backend = "cpu"
try:
    optimizer.step()
except RuntimeError as error:
    print(error)
"""
    first, second = python(hide + STEP + ask).strip().split("\n")
    assert first == "['eager']"
    assert f"{package} is not installed" in second


@pytest.mark.slow
def test_a_numba_that_fails_to_load_is_named(tmp_path: Path) -> None:
    """As where it does not support this Python: it is there, and says so when imported."""
    broken = tmp_path / "numba"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('this Numba is for another Python')")
    ask = """
optimizer.backend = "cpu"
try:
    optimizer.step()
except RuntimeError as error:
    print(error)
"""
    folder = {"UNYOKE_CACHE_DIR": str(tmp_path / "empty"), "PYTHONPATH": str(tmp_path)}
    first, second = python(STEP + ask, **folder).strip().split("\n")
    assert first == "['eager']"
    assert "this Numba is for another Python" in second


@pytest.mark.slow
def test_thousands_of_steps_with_new_gradients_keep_the_memory() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1000)) for _ in range(20)]
    optimizer = unyoke.AdamW(weights, backend="cpu", schedule=unyoke.schedules.cosine(10_000))

    def run(updates: int) -> None:
        for _ in range(updates):
            for weight in weights:
                weight.grad = torch.ones(1000)
            optimizer.step()
            optimizer.zero_grad()

    run(200)
    gc.collect()
    objects, peak = len(gc.get_objects()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(2500)
    gc.collect()
    assert len(gc.get_objects()) - objects < 50
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    assert grown < 2000, f"{grown} KiB in 2500 steps, and a gradient has 4"

"""What this machine has: backends that are tried, and a folder whose code may be executed."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import unyoke
from unyoke import backends
from unyoke.backends import Backend, Work, trial
from unyoke.backends._native import availability, c_calls, code_folder, jit_cache
from unyoke.backends._native.code_folder import CHOSEN, NoFolder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that does not exist yet, chosen by the environment."""
    path = tmp_path / "deep" / "kernels"
    monkeypatch.setenv(CHOSEN, str(path))
    return path


class TestFolder:
    def test_what_is_written_is_read_by_nobody_but_us(self, folder: Path) -> None:
        assert code_folder.read("a.o") is None
        code_folder.write("a.o", b"code")
        assert code_folder.read("a.o") == b"code"
        assert code_folder.objection() is None
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "a.o").stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o777])
    def test_a_folder_that_others_can_write_to_is_refused(self, folder: Path, mode: int) -> None:
        code_folder.write("a.o", b"code")
        folder.chmod(mode)
        assert code_folder.read("a.o") is None
        code_folder.write("b.o", b"code")
        assert [file.name for file in folder.iterdir()] == ["a.o"]
        assert f"mode {mode:o}" in str(code_folder.objection())
        folder.chmod(0o755)
        assert code_folder.read("a.o") == b"code"

    def test_a_file_that_others_can_write_to_is_refused(self, folder: Path) -> None:
        code_folder.write("a.o", b"code")
        (folder / "a.o").chmod(0o620)
        assert code_folder.read("a.o") is None

    def test_a_link_to_a_file_is_refused(self, folder: Path) -> None:
        code_folder.write("a.o", b"code")
        (folder / "b.o").symlink_to(folder / "a.o")
        assert code_folder.read("b.o") is None

    def test_a_folder_of_another_owner_is_refused(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        code_folder.write("a.o", b"code")
        other = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: other)
        assert code_folder.read("a.o") is None
        assert f"and this process to {other}" in str(code_folder.objection())

    def test_a_file_of_another_owner_is_refused(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        code_folder.write("a.o", b"code")
        theirs = os.stat_result((0o100600, 0, 0, 1, os.geteuid() + 1, 0, 0, 0, 0, 0))
        monkeypatch.setattr(os, "fstat", lambda handle: theirs)
        assert code_folder.read("a.o") is None

    def test_a_damaged_file_is_missing(self, folder: Path) -> None:
        code_folder.write("a.o", b"code")
        (folder / "a.o").write_bytes((folder / "a.o").read_bytes()[:-1])
        assert code_folder.read("a.o") is None

    def test_a_folder_that_cannot_be_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(CHOSEN, "/dev/null/nowhere")
        assert "cannot be made" in str(code_folder.objection())
        code_folder.write("a.o", b"code")
        assert code_folder.read("a.o") is None

    def test_a_folder_that_can_only_be_read(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        code_folder.write("a.o", b"code")
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may always
        assert "cannot be written to" in str(code_folder.objection())
        assert code_folder.read("a.o") == b"code"

    def test_a_relative_path_for_caches_is_ignored(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(CHOSEN, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
        assert code_folder.location() == tmp_path / ".cache" / "unyoke"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
        assert code_folder.location() == tmp_path / "caches" / "unyoke"

    def test_a_user_without_a_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(uid: int) -> Any:
            raise KeyError(uid)

        for name in (CHOSEN, "HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(pwd, "getpwuid", unknown)
        with pytest.raises(NoFolder, match=f"home folder.* set {CHOSEN}"):
            code_folder.location()
        assert code_folder.read("a.o") is None
        code_folder.write("a.o", b"code")
        remark = backends.ALL["cpu"].remark()
        assert remark is not None
        assert "compiles anew in each process" in remark
        assert "home folder" in remark

    def test_without_a_folder_everything_is_compiled_in_memory(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(CHOSEN, "/dev/null/nowhere")
        text = "@compiled\ndef run(x):\n    return 1 if x == 41 else 0\n"

        def names() -> dict[str, Any]:
            from unyoke.backends._native.intrinsics import compiled

            return {"compiled": compiled}

        address = jit_cache.build(text, names, "a test's own", arguments=1)
        assert c_calls.bound(address, 41)() is True
        assert c_calls.bound(address, 40)() is False

    @pytest.mark.slow
    def test_a_user_without_a_home_trains_by_the_kernel(self) -> None:
        script = f"""
import os, pwd
for name in ({CHOSEN!r}, "HOME", "XDG_CACHE_HOME"):
    os.environ.pop(name, None)
def unknown(uid):
    raise KeyError(uid)
pwd.getpwuid = unknown
import torch, unyoke
weight = torch.nn.Parameter(torch.ones(10))
weight.grad = torch.ones(10)
unyoke.SGDW([weight], lr=0.25, momentum=0.0, weight_decay=0.0, backend="cpu").step()
print(weight.tolist() == [0.75] * 10)
"""
        command = [sys.executable, "-c", script]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert run.stdout.strip() == "True", run.stderr


class Faulty(Backend):
    """Says that it works, and does what it is told."""

    name = "faulty"

    def __init__(self, deed: Any) -> None:
        self.deed = deed

    def why_not(self, work: Work) -> str | None:
        return None

    def step(self, work: Work) -> None:
        self.deed(work.weights[0])


class TestTrial:
    def test_the_backends_of_this_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        quick = {name: backends.ALL[name] for name in ("cpu", "eager")}
        monkeypatch.setattr(backends, "ALL", quick)
        assert [(name, reason) for name, reason, _ in backends.tried()] == [
            ("cpu", None),
            ("eager", None),
        ]

    def test_an_update_that_is_not_made_is_no_update(self) -> None:
        assert "came out wrong" in str(trial.lacking(Faulty(lambda weight: None)))

    def test_what_a_compiler_says_is_passed_on_in_one_line(self) -> None:
        def fail(weight: torch.Tensor) -> None:
            raise LookupError("no assembler\nand much more")

        assert trial.lacking(Faulty(fail)) == "LookupError: no assembler"

    def test_numba_that_no_longer_compiles_is_found_out(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Though all that is needed is on disk."""

        def fail(*arguments: Any) -> Any:
            raise AttributeError("add_global_dead_code_eliminate_pass")

        monkeypatch.setattr(jit_cache, "_keep_only", fail)
        assert availability.unable() is None
        reason = availability.tried.__wrapped__()
        assert reason == (
            "Numba cannot compile here: AttributeError: add_global_dead_code_eliminate_pass"
        )

    @pytest.mark.parametrize(("value", "missing"), [("1", True), ("0", False), ("", False)])
    def test_a_numba_that_is_switched_off(
        self, value: str, missing: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NUMBA_DISABLE_JIT", value)
        reason = availability.missing.__wrapped__()
        assert ("NUMBA_DISABLE_JIT is set" in str(reason)) is missing


class TestWarning:
    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Nothing can be compiled on the CPU."""
        monkeypatch.setattr(
            type(backends.CPU), "missing", lambda self: "numba is not what it should be"
        )
        backends._present.cache_clear()
        backends._warn_of_eager.cache_clear()
        yield
        backends._present.cache_clear()
        backends._warn_of_eager.cache_clear()

    def stepped(self, **settings: Any) -> unyoke.Optimizer:
        weight = torch.nn.Parameter(torch.ones(3))
        optimizer = unyoke.Optimizer([weight], **settings)
        for _ in range(2):
            weight.grad = torch.ones(3)
            optimizer.step()
        return optimizer

    def test_eager_in_place_of_cpu_is_said_once(self) -> None:
        with pytest.warns(UserWarning, match="numba is not what it should be") as caught:
            self.stepped()
        assert len(caught) == 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.stepped()

    def test_what_would_run_in_eager_anyway_is_not_worth_a_word(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.stepped(backend="eager")
            self.stepped(decay="constrained")


def test_the_optimizer_says_who_made_the_last_update() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = unyoke.AdamW([weight])
    assert repr(optimizer).splitlines()[-2:] == ["Backend: auto", ")"]
    weight.grad = torch.ones(3)
    optimizer.step()
    assert "Backend: auto, at the last update cpu" in repr(optimizer)

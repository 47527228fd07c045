"""Old names of modules and in them work for one release, and name the new ones."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings

import pytest

from unyoke import compat


@pytest.mark.parametrize("old", compat.MOVED)
def test_an_old_name_is_the_new_module(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f"use {compat.MOVED[old]}\\."):
        module = importlib.import_module(old)
    new = importlib.import_module(compat.MOVED[old])
    names = [name for name in dir(new) if not name.startswith("__")]
    assert names
    assert all(getattr(module, name) is getattr(new, name) for name in names)


@pytest.mark.parametrize("old", compat.NAMES)
@pytest.mark.filterwarnings("ignore:.*has moved:DeprecationWarning")
def test_an_old_name_in_a_module_is_what_the_new_one_is(old: str) -> None:
    module, _, name = old.rpartition(".")
    home, _, there = compat.NAMES[old].rpartition(".")
    with pytest.warns(DeprecationWarning, match=f"{old} has moved: use {compat.NAMES[old]}\\."):
        found = getattr(importlib.import_module(module), name)
    assert found is vars(importlib.import_module(home))[there]


@pytest.mark.parametrize("module", ["unyoke.decays", "unyoke.optimizers.moments"])
@pytest.mark.filterwarnings("ignore:.*has moved:DeprecationWarning")
def test_another_name_is_an_error(module: str) -> None:
    home = importlib.import_module(module)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        home.nothing  # noqa: B018 - to ask for it is the test


@pytest.mark.parametrize(
    ("line", "new"),
    [
        ("from unyoke.update import decay, direction", "unyoke.equation"),
        ("from unyoke.decays import timescale", "unyoke.timescales.timescale"),
        ("from unyoke.study import driver", "unyoke.study.running.driver"),
        ("from unyoke.study.ledger import Ledger", "unyoke.study.ledger.ledger.Ledger"),
        ("from unyoke.study.report import write_report", "unyoke.study.report.report.write_report"),
    ],
)
def test_the_warning_points_at_the_line_of_the_user(line: str, new: str) -> None:
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", line]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    assert f"use {new}." in run.stderr.splitlines()[-1]
    usual = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True)
    assert usual.returncode == 0


def test_names_that_never_were_are_errors() -> None:
    from unyoke.study import ledger

    with warnings.catch_warnings(), pytest.raises(AttributeError, match="no attribute 'Legder'"):
        ledger.Legder  # noqa: B018 - to ask for it is the test
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("unyoke.updates")

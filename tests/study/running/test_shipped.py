"""Scikit-learn's tables without scikit-learn: the same numbers, and what to do without them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets

from unyoke.study.errors import StudyError
from unyoke.study.tasks import shipped

TABLES = ("digits", "breast_cancer", "diabetes")


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("by_library", [False, True])
def test_the_numbers_are_scikit_learns_also_where_it_keeps_its_files_elsewhere(
    name: str, by_library: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_library:
        monkeypatch.setattr(shipped, "_folder", lambda name: Path("nowhere"))
    as_measured = {"scaled": False} if name == "diabetes" else {}
    inputs, targets = getattr(datasets, f"load_{name}")(return_X_y=True, **as_measured)
    found_inputs, found_targets = getattr(shipped, name)()
    np.testing.assert_array_equal(found_inputs, inputs)
    np.testing.assert_array_equal(found_targets, targets)


def test_scikit_learn_is_not_imported() -> None:
    names = ", ".join(f"shipped.{name}()" for name in TABLES)
    script = f"import sys; from unyoke.study.tasks import shipped; {names}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "sklearn" not in run.stdout.split()


@pytest.mark.parametrize("name", TABLES)
def test_where_it_is_not_installed_it_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StudyError, match=r"pip install 'unyoke\[demo\]'") as refused:
        getattr(shipped, name)()
    assert "\n" not in str(refused.value)
    assert name.replace("_", "-") in str(refused.value)


def test_where_it_cannot_be_imported_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "_folder", lambda name: Path("nowhere"))
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(StudyError, match="scikit-learn cannot be used"):
        shipped.digits()

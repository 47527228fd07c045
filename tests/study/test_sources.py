"""A digest of code differs as soon as any file differs that decides a number, and only then."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from unyoke.study import sources
from unyoke.study.errors import StudyError
from unyoke.study.tasks import load, refer

FILES = {
    "task.py": "import helper\nfrom package.models import Net\n\n\ndef task(seed): ...\n",
    "helper.py": "def deeper():\n    from second import value\n    return value\n",
    "second.py": "value = 1\n",
    "package/__init__.py": "",
    "package/models.py": "from . import parts\nfrom .sizes import width\n\n\nclass Net: ...\n",
    "package/parts.py": "x = 1\n",
    "package/sizes.py": "width = 1\n",
    "package/unused.py": "y = 1\n",
    "stranger.py": "z = 1\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_imports_counts_and_nothing_else(folder: Path, name: str) -> None:
    before = sources.of_file(folder / "task.py")
    with (folder / name).open("a") as file:
        file.write("# another line\n")
    changed = sources.of_file(folder / "task.py") != before
    assert changed == (name not in ("package/unused.py", "stranger.py"))


def test_a_moved_folder_is_the_same(folder: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(folder, tmp_path.with_name(f"{tmp_path.name}-moved")))
    assert sources.of_file(moved / "task.py") == sources.of_file(folder / "task.py")


def test_two_helpers_that_change_places_are_not_the_same(folder: Path) -> None:
    before = sources.of_file(folder / "task.py")
    texts = {name: (folder / name).read_text() for name in ("package/parts.py", "second.py")}
    (folder / "package/parts.py").write_text(texts["second.py"])
    (folder / "second.py").write_text(texts["package/parts.py"])
    assert sources.of_file(folder / "task.py") != before


def test_an_imported_file_may_lie_elsewhere_on_the_path(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("project")
    (folder / "helper.py").rename(elsewhere / "helper.py")
    monkeypatch.syspath_prepend(str(elsewhere))
    before = sources.of_file(folder / "task.py")
    (elsewhere / "helper.py").write_text("value = 2\n")
    assert sources.of_file(folder / "task.py") != before


def test_installed_packages_are_not_looked_at(folder: Path, tmp_path: Path) -> None:
    installed = tmp_path / "lib" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "second.py").write_text("value = 1\n")
    (folder / "second.py").unlink()
    before = sources.of_file(folder / "task.py")
    sys.path.append(str(installed))
    try:
        assert sources.of_file(folder / "task.py") == before
    finally:
        sys.path.remove(str(installed))


def test_a_file_that_is_not_python_has_a_digest(folder: Path) -> None:
    (folder / "helper.py").write_text("def broken(:\n")
    assert sources.of_file(folder / "task.py")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of unyoke that digests are taken of."""
    copy = Path(shutil.copytree(sources._PACKAGE, tmp_path / "unyoke"))
    monkeypatch.setattr(sources, "_PACKAGE", copy)
    monkeypatch.setattr(sources, "_read_once", sources._read)
    return copy


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ("decays.py", True),
        ("directions/signs.py", True),
        ("backends/cpu/source.py", True),
        ("population/stacked.py", True),
        ("study/training.py", True),
        ("study/evaluation.py", True),
        ("study/page.py", False),
        ("study/claims/verdicts.py", False),
        ("cli.py", False),
    ],
)
def test_all_of_unyoke_that_trains_counts_and_drawing_does_not(
    package: Path, changed: str, counts: bool
) -> None:
    before = sources.of_training.__wrapped__()
    assert before == sources.of_training()
    file = package / changed
    file.write_text(f"{file.read_text()}# another line\n")
    assert (sources.of_training.__wrapped__() != before) == counts


def test_what_a_file_takes_from_unyoke_counts(folder: Path, package: Path) -> None:
    (folder / "task.py").write_text("from unyoke.study.digits import digits\n")
    before = sources.of_file(folder / "task.py")
    file = package / "study" / "digits.py"
    file.write_text(f"{file.read_text()}# another line\n")
    assert sources.of_file(folder / "task.py") != before


def test_a_worker_refuses_other_code_than_the_driver_has(line_file: Path) -> None:
    reference = refer(f"{line_file}:line")
    load(reference)
    with pytest.raises(StudyError, match="not the one that drives"):
        load(replace(reference, trainer="another"))
    with pytest.raises(StudyError, match=r"code of the task line\.py:line has changed since"):
        load(replace(reference, digest="another"))
    with pytest.raises(StudyError, match="code of the task digits has changed since"):
        load(replace(refer("digits"), digest="another"))

"""A digest of code differs as soon as any file differs that decides a number, and only then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from unyoke.study.errors import StudyError
from unyoke.study.ledger import code_digest
from unyoke.study.ledger.code_digest import of_file
from unyoke.study.running import workers
from unyoke.study.tasks import registry
from unyoke.study.tasks.registry import load, refer

FILES = {
    "task.py": "import helper\nfrom package.models import Net\n\n\ndef task(seed): ...\n",
    "helper.py": "def deeper():\n    from second import value\n    return value\n",
    "second.py": "value = 1\n",
    "package/__init__.py": "",
    "package/models.py": "from . import parts\nfrom .sizes import width\nfrom .deep import far\n",
    "package/parts.py": "from .unyoke import adapter\n",
    "package/sizes.py": "width = 1\n",
    "package/unyoke.py": "adapter = 1\n",
    "package/deep/__init__.py": "",
    "package/deep/far.py": "from ..near import x\nfrom ...... import nothing\n",
    "package/near.py": "x = 1\n",
    "package/unused.py": "y = 1\n",
    "stranger.py": "z = 1\n",
}
UNUSED = ("package/unused.py", "stranger.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def digest(folder: Path) -> str:
    return of_file(folder / "task.py").digest


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_imports_counts_and_nothing_else(folder: Path, name: str) -> None:
    before = digest(folder)
    with (folder / name).open("a") as file:
        file.write("another = 1\n")
    assert (digest(folder) != before) == (name not in UNUSED)


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        ("x = 1", "x = 1  # one", False),
        ("x = 1", "\n\nx = (\n    1\n)", False),
        ("x = 1", "x = 2", True),
        ("x = 1", "x = 1.0", True),
        ("x = 1", "y = 1", True),
        ("def f():\n    return 1", 'def f():\n    """One."""\n    return 1', False),
        ("def f(x): ...", "def f(x, /): ...", True),
        ("class A:\n    x = 1", 'class A:\n    """One."""\n\n    x = 1\n    """Of one."""', False),
        ("x = 'a'", "x = 'b'", True),
        ("x = 1", "from typing import TYPE_CHECKING\nx = 1", True),
        ("import typing", "import typing\nif typing.TYPE_CHECKING:\n    import second", True),
    ],
)
def test_syntax_counts_and_what_is_said_to_readers_does_not(
    folder: Path, before: str, after: str, counts: bool
) -> None:
    (folder / "helper.py").write_text(before)
    first = digest(folder)
    (folder / "helper.py").write_text(after)
    assert (digest(folder) != first) == counts


def test_imports_for_types_do_not_count(folder: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import second{}\n"
    (folder / "helper.py").write_text(text.format(""))
    before = digest(folder)
    (folder / "second.py").write_text("value = 2\n")
    assert digest(folder) == before
    (folder / "helper.py").write_text(text.format(", third"))
    assert digest(folder) == before
    (folder / "helper.py").write_text(text.format("") + "else:\n    import second\n")
    with_it = digest(folder)
    (folder / "second.py").write_text("value = 3\n")
    assert digest(folder) != with_it


def aged(file: Path, text: str) -> None:
    """Write a file that was changed a minute ago."""
    file.write_text(text)
    before = file.stat().st_mtime - 60
    os.utime(file, (before, before))


def test_a_file_is_parsed_once_until_it_is_changed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("UNYOKE_CACHE_DIR", str(cache))
    for name in FILES:
        aged(folder / name, FILES[name])
    read, parse = [], code_digest._read
    monkeypatch.setattr(
        code_digest, "_read", lambda name, file: read.append(name) or parse(name, file)
    )
    first = of_file(folder / "task.py")
    assert sorted(read) == sorted(first.files)
    for forget in (False, True):  # in this process, and in another one
        if forget:
            code_digest._memory.clear()
        read.clear()
        assert of_file(folder / "task.py") == first
        assert read == []
    aged(folder / "second.py", "value = 9\n")  # as long as before
    assert digest(folder) != first.digest
    assert read == ["second"]
    (cache / "code.json").write_text("[")
    code_digest._memory.clear()
    assert digest(folder) != first.digest


def test_a_file_that_changes_within_a_tick_of_the_clock_is_seen(folder: Path) -> None:
    found = set()
    state = (folder / "second.py").stat()
    for value in range(5):
        (folder / "second.py").write_text(f"value = {value}\n")
        os.utime(folder / "second.py", ns=(state.st_atime_ns, time.time_ns()))
        found.add(digest(folder))
    assert len(found) == 5


def test_nothing_that_is_left_out_is_called_by_a_training_and_the_rest_counts(
    line_file: Path,
) -> None:
    """One by one and stacked, by every direction; watched in a process that has read the code."""
    script = f"""
import sys, time
from pathlib import Path
import unyoke
from unyoke import optimizers
from unyoke.study.landscape.landscape import Cell
from unyoke.study.ledger import code_digest
from unyoke.study.tasks.registry import load, refer
from unyoke.study.training.training import train_together
reference = refer({f"{line_file}:line"!r})
counted = code_digest.of_training().files.keys()
counted |= {{"unyoke.study.tasks.registry", "unyoke.study.tasks.requirements"}}  # no numbers
build, called = load(reference), set()
def watch(frame, event, argument):
    called.add(frame.f_globals.get("__name__", ""))
for name in optimizers.ALL:
    for engine, seeds in (("one_by_one", [0]), ("auto", [0, 1])):
        cells = [Cell("line", "0", name, "cosine", 3, 0.01, 0.0, seed) for seed in seeds]
        train_together(cells, build, time.perf_counter, engine)  # imports what it needs
        sys.setprofile(watch)
        train_together(cells, build, time.perf_counter, engine)
        sys.setprofile(None)
print(*sorted(each for each in called - counted if each.partition(".")[0] == "unyoke"))
assert len(called & counted) > 40, sorted(called)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []


def test_a_moved_folder_is_the_same(folder: Path) -> None:
    moved = shutil.copytree(folder, folder.with_name(f"{folder.name}-moved"))
    assert digest(Path(moved)) == digest(folder)


def test_line_endings_are_the_same(folder: Path) -> None:
    before = digest(folder)
    (folder / "helper.py").write_bytes(FILES["helper.py"].replace("\n", "\r\n").encode())
    assert digest(folder) == before


def test_files_of_one_name_that_change_places_are_not_the_same(tmp_path: Path) -> None:
    (tmp_path / "task.py").write_text("import teacher.model, student.model\n")
    for name in ("teacher", "student"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.py").write_text(f"who = {name!r}\n")
    before = digest(tmp_path)
    (tmp_path / "teacher").rename(tmp_path / "other")
    (tmp_path / "student").rename(tmp_path / "teacher")
    (tmp_path / "other").rename(tmp_path / "student")
    assert digest(tmp_path) != before


@pytest.mark.parametrize("installed", [False, True])
def test_an_imported_file_may_lie_on_pythonpath_but_not_in_a_package_that_is_installed(
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    installed: bool,
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (folder / "helper.py").rename(elsewhere / "helper.py")
    if installed:
        (elsewhere / "helper-1.0.dist-info").mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "no-such-folder", str(elsewhere)]))
    before = digest(folder)
    (elsewhere / "helper.py").write_text("value = 2\n")
    assert (digest(folder) == before) == installed


@pytest.mark.parametrize("text", ["def broken(:\n", "a\0b", "x = " + "1+" * 20_000 + "1\n"])
def test_a_file_that_cannot_be_parsed_counts_too(folder: Path, text: str) -> None:
    before = digest(folder)
    (folder / "helper.py").write_text(text)
    assert digest(folder) != before


def test_warnings_of_the_parser_change_nothing(folder: Path) -> None:
    (folder / "helper.py").write_text("import second\nfound = '\\d'\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = digest(folder)
        (folder / "second.py").write_text("value = 2\n")
        assert digest(folder) != before


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of unyoke that digests are taken of."""
    copy = Path(shutil.copytree(code_digest._PACKAGE, tmp_path / "unyoke"))
    monkeypatch.setattr(code_digest, "_PACKAGE", copy)
    return copy


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ("decays.py", True),
        ("directions/signs.py", True),
        ("optimizers/ademamix.py", True),
        ("backends/cpu/source.py", True),
        ("population/stacked.py", True),
        ("study/training/training.py", True),
        ("study/training/evaluation.py", True),
        ("study/tasks/task.py", True),
        ("explain.py", False),
        ("checkpoint.py", False),
        ("interchange/convert.py", False),
        ("study/landscape/axes.py", False),
        ("study/report/page.py", False),
        ("study/claims/verdicts.py", False),
        ("cli/maps.py", False),
    ],
)
def test_all_of_unyoke_that_trains_counts_and_drawing_does_not(
    package: Path, changed: str, counts: bool
) -> None:
    before = code_digest.of_training.__wrapped__()
    assert before == code_digest.of_training()
    file = package / changed
    file.write_text(f"{file.read_text()}another = 1\n")
    assert (code_digest.of_training.__wrapped__() != before) == counts


def test_what_a_file_takes_from_unyoke_counts(folder: Path, package: Path) -> None:
    (folder / "task.py").write_text("from unyoke.study.tasks.digits import digits\n")
    before = digest(folder)
    file = package / "study" / "tasks" / "digits.py"
    file.write_text(f"{file.read_text()}another = 1\n")
    assert digest(folder) != before


def test_an_unyoke_without_source_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_digest, "_PACKAGE", tmp_path / "unyoke")
    with pytest.raises(StudyError, match="not to be read"):
        code_digest.of_training.__wrapped__()


def test_a_worker_refuses_other_code_than_the_driver_has(
    line_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.set_num_threads", lambda threads: None)
    reference = refer(f"{line_file}:line")
    load(reference)
    answer = workers.on_one_thread(workers.probe, replace(reference, trainer="another"), (0,))
    assert isinstance(answer, StudyError)
    assert "not the one that drives" in str(answer)
    assert isinstance(workers.on_one_thread(workers.probe, reference, (0,)), float)
    with pytest.raises(StudyError, match=r"line\.py:line is not what the driver has read"):
        load(replace(reference, digest="another"))
    with pytest.raises(StudyError, match="digits is not what the driver has read"):
        load(replace(refer("digits"), digest="another"))
    with pytest.raises(StudyError, match="same place on every machine"):
        load(replace(reference, file=str(line_file.with_name("nowhere.py"))))


def test_a_worker_that_goes_on_runs_what_is_there_now(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not the helper that it imported before, from this folder or from another one."""
    monkeypatch.setattr(registry, "_checked", lambda name, function, _, seed: function(seed))
    text = "import helper\n\n\ndef task(seed):\n    return helper.value\n"
    other = tmp_path_factory.mktemp("other")
    for place, value in ((folder, 1), (folder, 22), (other, 333), (folder, 22)):
        (place / "task.py").write_text(text)
        (place / "helper.py").write_text(f"value = {value}\n")
        assert load(refer(f"{place / 'task.py'}:task"))(0) == value

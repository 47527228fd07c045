"""What the documentation shows, run: docstring examples and the blocks of the README."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import torch

import unyoke
from unyoke.cli import main

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = sorted([README, *(ROOT / "docs").rglob("*.md")])
MODULES = sorted(info.name for info in pkgutil.walk_packages(unyoke.__path__, prefix="unyoke."))


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", ["unyoke", *MODULES])
def test_docstring_examples(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name), report=True)
    assert outcome.failed == 0, f"{outcome.failed} of {outcome.attempted} examples failed"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_of_a_page_run_one_after_the_other(page: Path) -> None:
    names: dict[str, Any] = {}
    runner = doctest.DocTestRunner()
    for number, (language, code) in enumerate(
        re.findall(
            r"^```(python|pycon)\n(.*?)^```$",
            page.read_text(encoding="utf-8"),
            re.MULTILINE | re.DOTALL,
        )
    ):
        if language == "python":
            exec(compile(code, f"{page.name}, block {number}", "exec"), names)
        else:
            example = doctest.DocTestParser().get_doctest(code, names, page.name, str(page), 0)
            runner.run(example, clear_globs=False)
            names.update(example.globs)
    assert runner.summarize(verbose=False).failed == 0


def test_the_readme_s_change_leaves_the_training_as_it_was() -> None:
    """Both sides of the diff are run, and end with the same weights."""
    (diff,) = blocks(README, "diff")
    lines = diff.splitlines()
    assert len([line for line in lines if line[:1] in "+-" and line.strip()]) == 6
    ends = []
    for side in "-+":
        program = "\n".join(line[1:] for line in lines if line[:1] in (" ", side))
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(5, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3)
        ).double()
        names = {
            "model": model,
            "updates": 50,
            "loss": torch.nn.CrossEntropyLoss(),
            "batches": [(torch.randn(8, 5).double(), torch.randint(3, (8,))) for _ in range(50)],
        }
        exec(program, names)
        ends.append(torch.nn.utils.parameters_to_vector(model.parameters()).detach())
    # float64; torch's scheduler multiplies its way along the cosine and collects rounding.
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-9, atol=1e-12)


def test_every_file_that_a_page_refers_to_exists() -> None:
    missing = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
        for target in re.findall(
            r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8")
        )
        if not (page.parent / target).exists()
    ]
    assert not missing, "\n".join(missing)


def test_the_table_s_numbers_are_the_defaults() -> None:
    table = README.read_text(encoding="utf-8")
    p = [torch.nn.Parameter(torch.ones(2))]
    assert "| 1e-5 | **1e-5** |" in table
    assert unyoke.AdamW(p).defaults["weight_decay"] == 1e-5
    assert unyoke.SGDW(p).defaults["weight_decay"] == 1e-5
    assert torch.optim.AdamW(p).defaults["weight_decay"] == 1e-2
    assert torch.optim.Adam(p).defaults["weight_decay"] == 0
    assert torch.optim.SGD(p, 0.1).defaults["weight_decay"] == 0


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_every_page_is_in_the_site_s_contents_and_the_readme_names_the_main_ones() -> None:
    contents = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([a-z0-9-]+)$", contents, re.MULTILINE))
    pages = {page.stem for page in PAGES if page != README} - {"index"}
    assert pages == listed
    linked = set(re.findall(r"\]\(docs/([a-z0-9-]+)\.md", README.read_text(encoding="utf-8")))
    assert {"choosing", "coming-from-torch", "equation", "faq", "first-map", "frameworks"} <= linked


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_every_anchor_that_a_page_refers_to_exists() -> None:
    missing = [
        f"{page.relative_to(ROOT)}: {target}#{anchor}"
        for page in [*PAGES, ROOT / "CONTRIBUTING.md"]
        for target, anchor in re.findall(
            r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text(encoding="utf-8")
        )
        if (other := page.parent / target if target else page).suffix == ".md"
        and anchor not in anchors(other)
    ]
    assert not missing, "\n".join(missing)


def test_the_version_is_the_same_everywhere() -> None:
    cff = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {unyoke.__version__}\n" in cff
    assert f"version = {{{unyoke.__version__}}}" in README.read_text(encoding="utf-8")


def commands(page: Path) -> list[str]:
    """The lines by which a page calls unyoke, of its blocks and of what stands in code quotes."""
    text = re.sub(r" *\\\n *", " ", page.read_text(encoding="utf-8"))
    # two spaces separate a command from what is said about it
    lines = re.findall(r"^(?:\$ | {4})(unyoke (?:[^\s]| (?! ))*)", text, re.MULTILINE)
    return lines + re.findall(r"`(unyoke [a-z][^`\n]*)`", text)


def test_every_target_of_make_and_every_program_that_a_page_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    missing = []
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        text = page.read_text(encoding="utf-8")
        called = re.findall(r"(?:^ {4}|^\$ |`)make ([a-z-]+)", text, re.MULTILINE)
        missing += [f"{page.name}: make {target}" for target in called if target not in targets]
        programs = re.findall(r"\b(?:benchmarks|examples|tools)/[a-z0-9_-]+\.(?:py|ipynb)", text)
        missing += [f"{page.name}: {name}" for name in programs if not (ROOT / name).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_command_line_takes_every_command_of_a_page(page: Path) -> None:
    wrong = []
    for line in commands(page):
        words = shlex.split(line, comments=True)[1:]
        if any("…" in word or "..." in word for word in words):
            continue  # not a whole command
        try:
            group = main.make_context("unyoke", words, resilient_parsing=False)
            name, command, rest = main.resolve_command(group, [*group._protected_args, *group.args])
            command.make_context(name, rest, parent=group)
        except (click.exceptions.Exit, click.MissingParameter):
            pass  # --help, or a sentence that names a command
        except click.ClickException as error:
            if "does not exist" not in error.format_message():  # a file of the reader's
                wrong.append(f"{line}: {error.format_message()}")
    assert not wrong, "\n".join(wrong)

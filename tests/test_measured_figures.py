"""Figures of the documentation that somebody measured name the commit at which it was done."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

MEASURED = re.compile(
    r"(?<![\w^.])[+−]?\d[\d,]*(?:\.\d+)?\s?(?:ns|µs|ms|s|×|%|points|GB/s|MB)(?![\w(])"
    r"|[−+]?\d\.\d+ (?:±|\[)"
)
"""A number with a unit that is measured, with its spread or with its interval."""

COMMIT = re.compile(r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7}\b")


def sections(page: Path) -> list[str]:
    """The page's beginning and what stands under each of its headings, without code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.split(r"^(?=##? )", text, flags=re.M)


def names(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_a_table_of_measured_figures_names_a_commit(page: Path) -> None:
    """In its section, or in the page's beginning for all of its tables."""
    beginning = next((part for part in sections(page) if part.strip()), "")
    without = [
        part.splitlines()[0]
        for part in sections(page)
        if sum(line.startswith("|") and bool(MEASURED.search(line)) for line in part.split("\n"))
        > 1
        and not COMMIT.search(part)
        and not COMMIT.search(beginning)
    ]
    assert without == []


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_a_commit_that_a_page_names_is_in_the_history(page: Path) -> None:
    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)

    shallow = git("rev-parse", "--is-shallow-repository")
    if shallow.returncode or shallow.stdout.strip() != "false":
        pytest.skip("without the history")
    text = re.sub(r"[0-9a-f]{7} \(landed as", "", page.read_text(encoding="utf-8"))
    named = sorted(set(COMMIT.findall(text)))
    missing = [one for one in named if git("merge-base", "--is-ancestor", one, "HEAD").returncode]
    assert missing == []

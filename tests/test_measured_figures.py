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

UNITS = r"ns|µs|ms|s|seconds?|minutes?|hours?|×|times|%|points?|[KMG]i?B(?:/s)?|bytes"
IN_PROSE = re.compile(
    rf"(?<![\w^.])[+−]?\d[\d,]*(?:\.\d+)?\s?(?:{UNITS})(?![\w(])|[−+]?\d\.\d+ (?:±|\[)"
)
"""The same in sentences, which spell more units out."""

NOT_MEASURED = {
    "choosing.md": [
        "96 % of the initial",  # e^−Σηλ
        "88 % of the beginning",
        "3 to 10 times below",  # Lion's authors
    ],
    "claims-as-commands.md": ["takes longer than 0.03 s"],  # how a training is divided
    "faq.md": ["0.05 takes 5 % of every weight"],  # what the number means
    "monitoring.md": ["less than 10 % of a weight", "more than 1 % of the decay"],  # limits
    "optimizers.md": ["4 bytes each in float32"],
    "own-task.md": ["more than 4 GiB"],  # a limit
    "scale-out.md": ["at most `2 × --workers`"],
}
"""Numbers with units that are definitions, limits, arithmetic or somebody else's advice."""

BY_SECTION = {"claims.md", "claims-as-commands.md", "verdicts.md", "results.md"}
"""Pages of verdicts: a section names the commit of all its numbers once."""

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


def blocks_with_neighbours(section: str) -> list[tuple[str, str]]:
    """Each paragraph, list or table, and it together with the one before and the one after it."""
    blocks = [block for block in re.split(r"\n\s*\n", section) if block.strip()]
    return [(block, "\n".join(blocks[max(0, i - 1) : i + 2])) for i, block in enumerate(blocks)]


def prose(block: str) -> str:
    """A block's sentences, in one line: no tables, headings or commands."""
    return " ".join(" ".join(re.findall(r"^(?!\||#| {4}).+", block, re.M)).split())


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_a_measured_figure_in_a_sentence_names_a_commit(page: Path) -> None:
    """In its paragraph or one beside it, or in the page's beginning for all of the page."""
    parts = [part for part in sections(page) if part.strip()]
    beginning = parts[0] if parts else ""
    without = []
    for part in parts:
        for block, near in blocks_with_neighbours(part):
            if COMMIT.search((part if page.name in BY_SECTION else near) + beginning):
                continue
            text = prose(block)
            for said in NOT_MEASURED.get(page.name, []):
                text = text.replace(said, "")
            without += [f"{found.group()} in: {text}" for found in IN_PROSE.finditer(text)]
    assert without == []


def test_what_is_said_not_to_be_measured_is_still_said() -> None:
    gone = [
        f"{name}: {said}"
        for name, all_said in NOT_MEASURED.items()
        for said in all_said
        if said not in prose((ROOT / "docs" / name).read_text(encoding="utf-8"))
    ]
    assert gone == []


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

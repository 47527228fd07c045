"""What the site does to a page that GitHub does not: Sphinx's hooks, registered by `setup`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from unyoke import optimizers

ROOT = Path(__file__).parents[1]

ROOT_PAGES = {"index": "README.md", "contributing": "CONTRIBUTING.md", "changelog": "CHANGELOG.md"}
"""Pages of the site that stand in the repository's root."""


def anchor(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def bring_in(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the root's page in front of its stub, and send links to where pages are on the site."""
    text = source[0]
    if page in ROOT_PAGES:
        whole = (ROOT / ROOT_PAGES[page]).read_text(encoding="utf-8")
        here = re.sub(r"\]\((?!https?:|#|mailto:)", "](../", whole)
        text = here.replace("](../docs/", "](") + "\n" + text
    for name, file in ROOT_PAGES.items():
        text = text.replace(f"](../{file}", f"]({name}.md")
    source[0] = text


def literal_equations(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Docstrings set their equations off by indentation, and their lines are lines."""
    inside = False  # a section of Google's style, whose indentation means something else
    out: list[str] = []
    for number, line in enumerate(lines):
        if line and not line.startswith(" "):
            inside = line.rstrip() in {"Args:", "Raises:", "Returns:", "Yields:", "Attributes:"}
        begins = line.startswith("    ") and number > 0 and not lines[number - 1].strip()
        if begins and not inside and not (out and _is_indented(out)):
            out += ["::", ""]
        out.append(line)
    lines[:] = out


def _is_indented(lines: list[str]) -> bool:
    """Whether the last line with something on it is part of an indented block."""
    return next((line for line in reversed(lines) if line.strip()), "").startswith("    ")


class NamedOptimizers(SphinxDirective):
    """The documentation of every optimizer that has a name; a new one appears by existing."""

    def run(self) -> list[nodes.Node]:
        lines = [f".. autoclass:: unyoke.{name}" for name in optimizers.names()]
        return self.parse_text_to_nodes("\n".join(lines), offset=self.content_offset)


def _display(translator: Any, node: nodes.Element) -> None:
    # GitHub's renderer has "aligned" in $$, the converter only its outer form
    text = node.astext().replace("{aligned}", "{align*}")
    translator.body.append(f'<div class="math">{convert(text, display="block")}</div>')
    raise nodes.SkipNode


def _inline(translator: Any, node: nodes.Element) -> None:
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    app.add_directive("named-optimizers", NamedOptimizers)
    app.connect("source-read", bring_in)
    # before napoleon, which takes the sections apart
    app.connect("autodoc-process-docstring", literal_equations, priority=100)

"""A ledger in a notebook: its pictures as matplotlib's figures, its trainings as pandas' frame."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unyoke.study.errors import StudyError
from unyoke.study.landscape.optimizers import canonical
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.report.figures import make_figures
from unyoke.study.report.findings import find
from unyoke.study.report.survey import survey
from unyoke.study.report.tables import rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures(
    folder: Path,
    optimizers: Sequence[str],
    titles: Mapping[str, str],
    labels: Mapping[str, str],
) -> dict[str, Figure]:
    """See `unyoke.study.figures`."""
    _check_texts("titles", titles)
    _check_texts("labels", labels)
    with Ledger.open_to_read(folder) as ledger:
        result = survey(ledger.landscape, ledger.records())
    names = tuple(map(canonical, optimizers)) or tuple(result.landscape.axes)
    unknown = [name for name in names if name not in result.landscape.axes]
    if unknown:
        raise StudyError(
            f"the ledger in {folder} has no {', '.join(unknown)}; it has "
            f"{', '.join(result.landscape.axes)}"
        )
    panels = [panel for panel in result.panels if panel.optimizer in names]
    panels.sort(key=lambda panel: names.index(panel.optimizer))  # stable: by setting as before
    try:
        made = make_figures(result, [find(panel) for panel in panels])
    except ImportError as error:
        raise StudyError(f"{error}; install it with: pip install 'unyoke[plot]'") from error
    _name(made, titles)
    _relabel(list(made.values()), labels)
    return made


def _check_texts(word: str, given: object) -> None:
    """Refuse what is no dict from text to text."""
    if not isinstance(given, Mapping) or not all(
        isinstance(text, str) for pair in given.items() for text in pair
    ):
        raise StudyError(f"{word} must be a dict from text to text, not {given!r}")


def _name(figures: Mapping[str, Figure], titles: Mapping[str, str]) -> None:
    """Put titles over figures."""
    for name, title in titles.items():
        if name not in figures:
            raise StudyError(f"there is no figure {name!r}; there are {', '.join(figures)}")
        figures[name].suptitle(title)


def _relabel(figures: Sequence[Figure], labels: Mapping[str, str]) -> None:
    """Write other words where a text is one of these, or has it as a whole word or name."""
    from matplotlib.text import Text

    texts = [text for figure in figures for text in figure.findobj(Text)]
    shown = {text: str(text.get_text()) for text in texts}
    for old, new in sorted(labels.items(), key=lambda pair: -len(pair[0])):
        whole = re.compile(rf"(?<![\w+]){re.escape(old)}(?![\w(]| \+ )")
        found = [text for text, words in shown.items() if whole.search(words)]
        if not found:
            raise StudyError(f"no figure shows {old!r}")
        for text in found:
            text.set_text(whole.sub(new.replace("\\", r"\\"), text.get_text()))


def table(folder: Path) -> Any:
    """See `unyoke.study.table`."""
    try:
        import pandas
    except ImportError as error:
        raise StudyError("a table needs pandas: pip install 'unyoke[pandas]'") from error
    with Ledger.open_to_read(folder) as ledger:
        return pandas.DataFrame(rows(ledger.records(), ledger.landscape.task.own))

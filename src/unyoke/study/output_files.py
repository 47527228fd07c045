"""Files that a command writes into a folder of the user's, and never over the user's own.

Beside them lies a list of what was written, by contents. A file that has a name of the command's is
its own if it is as it was written. Anything else, a link too, is refused before there is any work
to lose. Each file appears whole, so a reader never sees half of one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unyoke.study.errors import StudyError

LIST = ".unyoke-files.json"
"""The list: by name, digests of what was written there, of which the last one is there now.

There are two while files are exchanged, so that a process that is killed then disowns nothing.
"""

Recognise = Callable[[Path], bool]


def check(folder: Path, names: Iterable[str], recognise: Recognise = lambda folder: False) -> None:
    """Whether a command may write these names into the folder.

    Args:
        recognise: whether a folder without a list was filled by a version that wrote none.

    Raises:
        StudyError: some of them are there and were not written by a command, or are links.
    """
    written = _written(folder)
    for name in names:
        path = folder / name
        check_no_link(path)
        if not path.exists():
            continue
        if written is None and recognise(folder):
            continue
        if not path.is_file() or _digest(path) not in (written or {}).get(name, []):
            raise StudyError(
                f"{path} was not written by unyoke, or was changed since; "
                "move it away, or choose another folder with --out"
            )


@contextmanager
def written(
    folder: Path, names: Iterable[str], recognise: Recognise = lambda folder: False
) -> Iterator[Path]:
    """A folder for drafts, which take their places in `folder` when the context ends.

    Raises:
        StudyError: as `check` has it. Nothing is written then.
        OSError: a file cannot be written; what was there is still there.
    """
    allowed = tuple(names)
    check(folder, allowed, recognise)
    folder.mkdir(parents=True, exist_ok=True)
    drafts = Path(tempfile.mkdtemp(prefix=".unyoke-", dir=folder))
    try:
        yield drafts
        made = sorted(path for path in drafts.iterdir())
        unknown = {path.name for path in made} - set(allowed)
        if unknown:
            raise RuntimeError(f"{', '.join(unknown)} was not checked to be free")
        new = {path.name: _digest(path) for path in made}
        before = _written(folder) or {}
        both = {name: [*before.get(name, [])[-1:], digest] for name, digest in new.items()}
        _keep(drafts / LIST, folder, {**before, **both})
        for path in made:
            os.replace(path, folder / path.name)
        _keep(drafts / LIST, folder, {**before, **{name: [new[name]] for name in new}})
    finally:
        shutil.rmtree(drafts, ignore_errors=True)


def check_no_link(path: Path) -> None:
    """Refuse to write through a link, which may lead to anything of the user's.

    Raises:
        StudyError: the path is a link.
    """
    if path.is_symlink():
        raise StudyError(
            f"{path} is a link to {os.readlink(path)}, and unyoke would write there; "
            "remove the link, or choose another folder with --out"
        )


def _written(folder: Path) -> dict[str, list[str]] | None:
    """The list of a folder; None where there is none, or none that can be read."""
    with suppress(OSError, ValueError, AttributeError, TypeError):
        found = json.loads((folder / LIST).read_text(encoding="utf-8"))
        return {name: list(digests) for name, digests in found.items()}
    return None


def _keep(draft: Path, folder: Path, files: dict[str, list[str]]) -> None:
    draft.write_text(json.dumps(files, indent=1, sort_keys=True), encoding="utf-8")
    os.replace(draft, folder / LIST)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

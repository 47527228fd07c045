"""Data that a task reads from the user's own files: finding them, reading them, naming them.

Nothing is ever downloaded. Files are looked for where `--data` says, else where the task's
environment variable says, else where a system package puts them. What a landscape freezes is a
digest of the contents, so that moved or compressed files are the same data.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unyoke.study.errors import StudyError

_DIGEST_LENGTH = 16


@dataclass(frozen=True)
class Source:
    """The files that a task's data are in.

    Attributes:
        what: the data, in words.
        files: names of the files in the folder; each may have `.gz` added.
        variable: the environment variable that names the folder.
        get: how to get the files, as the end of a sentence.
        more: names of files that are read as well where they exist.
        places: folders where a system package puts the files.
    """

    what: str
    files: tuple[str, ...]
    variable: str
    get: str
    more: tuple[str, ...] = ()
    places: tuple[Path, ...] = ()

    def find(self, given: str | None) -> Path:
        """The folder of the data: `given`, the environment variable's, or a package's.

        A single file may be named itself instead of its folder.

        Raises:
            StudyError: no folder has all the files.
        """
        for origin, text in (("--data", given), (self.variable, os.environ.get(self.variable))):
            if text is not None:
                folder = Path(text).absolute()
                self._require(folder, origin)
                return folder
        for folder in self.places:
            if all(_stored(folder, name) for name in self.files):
                return folder
        raise StudyError(
            f"no folder with {self.what} was found; three ways to get it: {self.get}; or name the "
            f"folder with --data FOLDER; or with the environment variable {self.variable}=FOLDER"
        )

    def read(self, folder: Path) -> Iterator[tuple[Path, bytes]]:
        """Each file's path and contents, uncompressed, one after another.

        Raises:
            StudyError: a file is missing, cannot be read, or is damaged.
        """
        self._require(folder, "the data folder")
        if folder.is_file():
            yield folder, _contents(folder)
            return
        for name in (*self.files, *self.more):
            path = _stored(folder, name)
            if path is not None:
                yield path, _contents(path)

    def digest(self, folder: Path) -> str:
        """A short name for the contents of all files; neither paths nor compression enter it.

        Raises:
            StudyError: a file is missing, cannot be read, or is damaged.
        """
        whole = hashlib.sha256()
        for path, contents in self.read(folder):
            name = self.files[0] if folder.is_file() else path.name.removesuffix(".gz")
            whole.update(f"{name} {hashlib.sha256(contents).hexdigest()}\n".encode())
        return whole.hexdigest()[:_DIGEST_LENGTH]

    def _require(self, folder: Path, origin: str) -> None:
        if folder.is_file() and len(self.files) == 1:
            return
        if not folder.is_dir():
            raise StudyError(f"{origin}: {folder} is no folder; {self.what} would be in one")
        missing = [name for name in self.files if not _stored(folder, name)]
        if missing:
            raise StudyError(
                f"{origin}: {folder} has no {', '.join(missing)}; the task needs a folder with "
                f"{self.what}"
            )


def _stored(folder: Path, name: str) -> Path | None:
    paths = (folder / name, folder / f"{name}.gz")
    return next((path for path in paths if path.is_file()), None)


def _contents(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        if path.suffix != ".gz":
            return raw
        if not raw:
            raise EOFError("it is empty")
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise StudyError(f"{path} cannot be read; is it damaged or cut off? ({error})") from error

"""The folder in which machine code is kept between processes.

Whoever can write there decides what this process executes. So code is only read from a folder, and
from files in it, that belong to this user and that nobody else can write to. Where there is no such
folder, everything is compiled in memory, in each process anew.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path

CHOSEN = "UNYOKE_CACHE_DIR"


class NoFolder(Exception):
    """There is no folder that could be trusted; the message says why."""


def location() -> Path:
    """``UNYOKE_CACHE_DIR``, or ``unyoke`` in the platform's folder for caches.

    Raises:
        NoFolder: this user has no home.
    """
    if chosen := os.environ.get(CHOSEN):
        return Path(chosen).absolute()
    import platformdirs  # only here: a folder that was chosen needs none of it

    try:
        found = platformdirs.user_cache_path("unyoke", appauthor=False)
    except (RuntimeError, KeyError, OSError):
        raise NoFolder(f"this user has no home folder; set {CHOSEN}") from None
    if not found.is_absolute():
        raise NoFolder(f"the home folder of this user is unknown or relative; set {CHOSEN}")
    return found


def objection() -> str | None:
    """Why compiled code is not kept on this machine, as one line; None if it is.

    Makes the folder if there is none.
    """
    try:
        path = _made()
    except NoFolder as reason:
        return str(reason)
    return None if os.access(path, os.W_OK) else f"{path} cannot be written to"


# A digest goes before the code: a file cut short or damaged counts as missing.


def read(name: str) -> bytes | None:
    """The code that was kept under a name; None if there is none that can be trusted."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        path = location()
        _check(path, os.stat(path))
        with open(os.open(path / name, flags), "rb") as file:
            # Of the file that is open, not of the name, which may mean another file by now
            _check(path / name, os.fstat(file.fileno()))
            content = file.read()
    except (NoFolder, OSError):
        return None
    digest, code = content[:32], content[32:]
    return code if hashlib.sha256(code).digest() == digest else None


def write(name: str, code: bytes) -> None:
    """Keep code: whole or not at all, whichever processes write at once; without a folder, not."""
    temporary = None
    try:
        path = _made()
        handle, temporary = tempfile.mkstemp(dir=path)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        os.replace(temporary, path / name)
    except (NoFolder, OSError):
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def _made() -> Path:
    """The folder, which is there and can be trusted.

    Raises:
        NoFolder: it cannot be made, or not be trusted.
    """
    path = location()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = os.stat(path)
    except OSError as error:
        raise NoFolder(f"{path} cannot be made: {error.strerror}; set {CHOSEN}") from None
    _check(path, found)
    return path


def _check(path: Path, found: os.stat_result) -> None:
    """Raise NoFolder unless a file or folder is ours, and only we can write to it."""
    if sys.platform == "win32":
        return  # a user's folders are closed to others there, and the mode says nothing
    if found.st_uid != os.geteuid():
        raise NoFolder(
            f"{path} belongs to user {found.st_uid} and this process to {os.geteuid()}; code is "
            f"only loaded from a folder of one's own: set {CHOSEN}"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise NoFolder(
            f"others can write to {path} (mode {stat.S_IMODE(found.st_mode):o}), and code is only "
            f"loaded from where nobody else can: chmod go-w, or set {CHOSEN}"
        )

"""Pages from templates by Jinja: HTML is escaped, and a word that is missing is an error."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from unyoke.study.errors import StudyError


def text_of(package: str, name: str) -> str:
    """A file that lies in the folder `template` of a package."""
    return (resources.files(package) / "template" / name).read_text(encoding="utf-8")


def rendered(package: str, name: str, data: Mapping[str, Any]) -> str:
    """The template of this name in the folder `template` of a package, filled in.

    Raises:
        StudyError: Jinja is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise StudyError(
            f"a page needs jinja2, which cannot be imported ({error}); "
            "install it with: pip install 'unyoke[study]'"
        ) from error
    environment = Environment(
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string(text_of(package, name)).render(data)

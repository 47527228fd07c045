"""Names with arguments, as a command line has them: `AdamW(betas=(0.9, 0.95), eps=1e-6)+l2`.

Arguments are read as Python literals and never executed. A name may be one of a user's own file,
`my_file.py:make`, and `+RULE` at the end is another decay rule, which may be one of a file, too.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unyoke.study.errors import StudyError

_OPENING, _CLOSING, _QUOTES = "([{", ")]}", "'\""


@dataclass(frozen=True)
class Call:
    """A name with its arguments.

    Attributes:
        name: as it was written, without spaces around it.
        arguments: by keyword: literals, or calls where one was written.
        rule: what stands behind a `+`, or "".
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    rule: str = ""

    @property
    def own(self) -> str | None:
        """`file.py:function` without the folder, where the name is that of a user's file."""
        return _without_folder(self.name)

    @property
    def own_rule(self) -> str | None:
        """The same of the decay rule."""
        return _without_folder(self.rule)

    @property
    def own_parts(self) -> tuple[str, ...]:
        """What stands in files of the user's, without folders: the name, the rule, both or none."""
        return tuple(filter(None, (self.own, self.own_rule)))

    def __str__(self) -> str:
        """The text that is read as this call; a user's file without its folder."""
        return self.written({})

    def written(self, places: Mapping[str, str]) -> str:
        """The same with folders.

        Args:
            places: `folder/file.py:function` of what stands in a user's files, by its name without
                the folder.
        """
        given = ", ".join(f"{name}={_written(value)}" for name, value in self.arguments.items())
        name, rule = self.own or self.name, self.own_rule or self.rule
        name, rule = places.get(name, name), places.get(rule, rule)
        return f"{name}{f'({given})' if given else ''}{f'+{rule}' if rule else ''}"


def _without_folder(text: str) -> str | None:
    file, separator, function = text.rpartition(":")
    return f"{Path(file).name}:{function}" if separator else None


def _written(value: Any) -> str:
    return str(value) if isinstance(value, Call) else repr(value)


def parse(text: str) -> Call:
    """The call that `text` is; its arguments are put in alphabetical order.

    Raises:
        StudyError: it is none, or an argument is neither a literal nor has a name.

    >>> parse("AdamW(eps=1e-6, betas=(0.9, 0.95))+l2")
    Call(name='AdamW', arguments={'betas': (0.9, 0.95), 'eps': 1e-06}, rule='l2')
    """
    opening, closing = text.find("("), text.rfind(")")
    if opening < 0:
        name, _, rule = text.partition("+")
        return Call(name.strip(), {}, rule.strip())
    rule = text[closing + 1 :].strip()
    if closing < opening or (rule and not rule.startswith("+")):
        raise StudyError(f"{text.strip()!r} is not NAME(argument=value, …)")
    try:
        inner = ast.parse(f"_{text[opening : closing + 1]}", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        inner = None
    if not isinstance(inner, ast.Call) or not isinstance(inner.func, ast.Name):
        raise StudyError(f"{text.strip()!r} cannot be read; write NAME(argument=value, …)")
    return Call(text[:opening].strip(), _arguments(inner, text), rule.removeprefix("+").strip())


def _arguments(call: ast.Call, text: str) -> dict[str, Any]:
    if call.args or any(keyword.arg is None for keyword in call.keywords):
        raise StudyError(f"{text.strip()!r} has an argument without a name; write NAME(name=value)")
    found = {str(each.arg): _value(each.value, text) for each in call.keywords}
    return dict(sorted(found.items()))


def _value(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Name):
        return Call(node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return Call(node.func.id, _arguments(node, text))
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise StudyError(
            f"{ast.unparse(node)!r} in {text.strip()!r} is not a literal: give numbers, strings, "
            "True, False, None, or tuples, lists and dicts of them"
        ) from None


def parts(text: str) -> tuple[str, ...]:
    """A list that commas divide, but for those within brackets and quotes; empty parts left out.

    >>> parts("SGDW, AdamW(betas=(0.9, 0.95))")
    ('SGDW', 'AdamW(betas=(0.9, 0.95))')
    """
    found, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in _QUOTES:
            quote = letter
        depth += (letter in _OPENING) - (letter in _CLOSING) if not quote else 0
        if letter == "," and depth <= 0 and not quote:
            found.append("")
        else:
            found[-1] += letter
    return tuple(part.strip() for part in found if part.strip())

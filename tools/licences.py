"""Prints the licence of every distribution in this environment, by what its metadata say."""

from __future__ import annotations

from importlib.metadata import distributions


def licence(metadata: object) -> str:
    """The expression, the text's first line, or the classifiers."""
    expression = metadata.get("License-Expression")  # type: ignore[attr-defined]
    text = (metadata.get("License") or "").strip().split("\n")[0]  # type: ignore[attr-defined]
    classifiers = metadata.get_all("Classifier") or []  # type: ignore[attr-defined]
    kinds = [c.split(" :: ")[-1] for c in classifiers if c.startswith("License ::")]
    return expression or (text if 0 < len(text) < 60 else "") or ", ".join(kinds) or "not stated"


if __name__ == "__main__":
    rows = {d.metadata["Name"]: (d.version, licence(d.metadata)) for d in distributions()}
    width = max(map(len, rows))
    for name in sorted(rows, key=str.lower):
        version, text = rows[name]
        print(f"{name:{width}}  {version:16}  {text}")

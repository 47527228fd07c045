"""What a map leaves in its folder."""

WRITTEN = {
    *("report.html", "ledger.sqlite", ".ledger.sqlite.lock", ".unyoke-files.json"),
    *("cells.csv", "cells.json"),
    *(
        f"{name}.{kind}"
        for name in ("landscape", "hyperparameters", "torch")
        for kind in ("png", "svg", "pdf")
    ),
}
"""Of a map of two optimizers."""

"""The paper's figures in their own layouts, drawn from ledgers, with the data beside each.

| number | shows |
|---|---|
| 1 | Adam + L2 and AdamW × fixed rate, step drops, cosine: error over α × λ |
| 2 | SGD + L2, SGDW, Adam + L2, AdamW with cosine: error over α × λ |
| 3 | learning curves of Adam + L2 and AdamW for each λ, and test error over training loss |
| 4 | AdamWR and SGDWR beside AdamW and SGDW over the run |
| s1 | example schedules |
| s2 | Adam + L2 and AdamW with a fixed rate on the long budget: error over α × λ |
| s3 | the best raw λ and λ_norm for each budget |
| s4 | Adam + L2 and AdamW on other data: a table instead of the paper's EEG recordings |
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unyoke.study import statistics
from unyoke.study.axes import label
from unyoke.study.claims import trends
from unyoke.study.claims.maps import Incomplete, Maps
from unyoke.study.claims.run import Request
from unyoke.study.errors import StudyError
from unyoke.study.landscape import Landscape
from unyoke.study.survey import Panel
from unyoke.study.training import SCHEDULES

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Plot
    from matplotlib.figure import Figure

Data = list[dict[str, Any]]
COLOURS = "viridis_r"


@dataclass(frozen=True)
class PaperFigure:
    """One figure.

    Attributes:
        studies: of `plan.STUDIES`.
        draw: fills a figure from maps and gives the data that it shows.
        task: on which it is drawn where none is named; None is the scale's first.
    """

    number: str
    title: str
    studies: tuple[str, ...]
    draw: Callable[[Figure, Maps], Data]
    task: str | None = None


def get(number: str) -> PaperFigure:
    """The figure of this number.

    Raises:
        StudyError: there is none.
    """
    if number.lower() not in FIGURES:
        raise StudyError(f"unknown figure {number!r}; known: {', '.join(FIGURES)}")
    return FIGURES[number.lower()]


def draw(
    figure: PaperFigure,
    request: Request,
    task: str,
    landscapes: Mapping[tuple[str, str], Landscape],
) -> list[Path]:
    """Write figure-N.svg, .png and .csv into the folder of the task.

    Raises:
        StudyError: a map lacks trainings, or the folder cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    folders = {study: request.folder(task, study) for study in figure.studies}
    plans = {study: landscapes[task, study] for study in figure.studies}
    canvas = Figure(layout="constrained")
    stem = request.out / task / f"figure-{figure.number}"
    paths = [stem.with_suffix(f".{kind}") for kind in ("svg", "png", "csv")]
    style: dict[Any, Any] = {"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "unyoke"}
    try:
        data = figure.draw(canvas, Maps.read(folders, plans, {}))
        canvas.suptitle(f"{figure.title}; task {task}")
        stem.parent.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context(style):
            canvas.savefig(paths[0], metadata={"Date": None})
            canvas.savefig(paths[1], dpi=130)
        _write(data, paths[2])
    except Incomplete as lacking:
        raise StudyError(
            f"figure {figure.number} cannot be drawn yet; missing: {lacking}"
        ) from None
    except OSError as error:
        raise StudyError(
            f"{stem} cannot be written: {error.strerror}; choose another --out"
        ) from error
    return paths


def _write(data: Data, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in data for key in row)))
        writer.writeheader()
        writer.writerows(data)


def _grid_of_maps(
    figure: Figure, panels: Sequence[Sequence[Panel]], unit: str, titles: Mapping[str, str]
) -> Data:
    """Rows of heat maps with one colour scale, ten best cells circled."""
    lines, columns = len(panels), len(panels[0])
    figure.set_size_inches(3.4 * columns + 0.6, 3.0 * lines + 0.4)
    plots = figure.subplots(lines, columns, squeeze=False)
    scale = 100.0 if unit == "%" else 1.0
    flat = [panel for line in panels for panel in line]
    errors = np.concatenate([panel.mean("test_error").ravel() for panel in flat]) * scale
    errors = errors[np.isfinite(errors)]
    low = errors.min() if errors.size else 0.0
    high = min(errors.max(), low + 2 * (np.median(errors) - low)) if errors.size else 1.0
    image: Any = None
    for line, row in zip(panels, plots, strict=True):
        for panel, plot in zip(line, row, strict=True):
            image = _heat_map(plot, panel, scale, low, max(high, low + 1e-9))
            plot.set_title(f"{panel.title}, {titles.get(panel.schedule, panel.schedule)}")
    bar = figure.colorbar(image, ax=plots, extend="max", shrink=0.8)
    bar.set_label(f"test error{', ' + unit if unit else ''}, mean over seeds")
    return [cell for panel in flat for cell in _cells(panel)]


def _heat_map(plot: Plot, panel: Panel, scale: float, low: float, high: float) -> Any:
    errors = np.ma.masked_invalid(panel.mean("test_error").T * scale)
    image = plot.pcolormesh(errors, cmap=COLOURS, vmin=low, vmax=high, edgecolors="white", lw=0.4)
    plot.set_facecolor("#dddddd")
    for rank, (row, column) in enumerate(statistics.best_cells(panel.choice)):
        plot.plot(row + 0.5, column + 0.5, "o", mfc="none", mec="black", ms=11 if rank == 0 else 5)
    decays, rates = panel.axes.weight_decay, panel.axes.lr
    plot.set_xticks(np.arange(len(decays)) + 0.5, [label(v) for v in decays], rotation=60)
    plot.set_yticks(np.arange(len(rates)) + 0.5, [label(v) for v in rates])
    plot.set_xlabel(f"weight decay {panel.decay_symbol}")
    plot.set_ylabel("learning rate α")
    return image


def _cells(panel: Panel) -> Data:
    chosen = statistics.best_cells(panel.choice)
    test, validation = panel.mean("test_error"), panel.mean("validation_error")
    return [
        {
            "optimizer": panel.optimizer,
            "schedule": panel.schedule,
            "updates": panel.updates,
            "lr": lr,
            "weight_decay": decay,
            "validation_error": float(validation[row, column]),
            "test_error": float(test[row, column]),
            "rank": chosen.index((row, column)) + 1 if (row, column) in chosen else "",
        }
        for row, decay in enumerate(panel.axes.weight_decay)
        for column, lr in enumerate(panel.axes.lr)
    ]


WORDS = {"constant": "fixed rate", "step_drops": "step drops", "warm_restarts": "restarts"}


def _figure_1(figure: Figure, maps: Maps) -> Data:
    panels = [
        [
            maps.panel("schedules", optimizer, schedule="constant"),
            maps.panel("schedules", optimizer, schedule="step_drops"),
            maps.panel("main", optimizer),
        ]
        for optimizer in ("Adam", "AdamW")
    ]
    return _grid_of_maps(figure, panels, maps.unit, WORDS)


def _figure_2(figure: Figure, maps: Maps) -> Data:
    panels = [
        [maps.panel("main", name) for name in pair] for pair in (("SGD", "SGDW"), ("Adam", "AdamW"))
    ]
    return _grid_of_maps(figure, panels, maps.unit, WORDS)


def _figure_3(figure: Figure, maps: Maps) -> Data:
    """Curves at the best α for every λ; below, final test error over λ and over training loss."""
    from matplotlib import colormaps

    figure.set_size_inches(10, 7.5)
    plots = figure.subplots(2, 2)
    data: Data = []
    scale = 100.0 if maps.unit == "%" else 1.0
    for optimizer, name in (("Adam", "autumn"), ("AdamW", "winter")):
        panel = maps.panel("long", optimizer, schedule="cosine")
        best = statistics.best_cell(panel.choice)
        if best is None:
            raise Incomplete(f"no training of {panel.title} finished")
        column, found = best[1], []
        shades = colormaps[name](np.linspace(0, 0.9, len(panel.axes.weight_decay)))
        for row, decay in enumerate(panel.axes.weight_decay):
            if not np.isfinite(panel.choice[row, column]):
                continue
            points = _mean_points(maps, panel, (row, column))
            text = f"{panel.title}, {panel.decay_symbol} = {label(decay)}"
            plots[0, 0].plot(points[:, 0], points[:, 1], color=shades[row], lw=1)
            plots[0, 1].plot(
                points[:, 0], scale * points[:, 2], color=shades[row], lw=1, label=text
            )
            final = (decay, *points[-1, 1:])
            found.append(final)
            data += [
                {
                    "optimizer": optimizer,
                    "lr": panel.axes.lr[column],
                    "weight_decay": decay,
                    "update": update,
                    "train_loss": loss,
                    "test_error": error,
                }
                for update, loss, error in points.tolist()
            ]
        ends, colour = np.array(found), shades[len(shades) // 3]
        plots[1, 0].plot(
            np.maximum(ends[:, 0], 0), scale * ends[:, 2], "o-", color=colour, label=panel.title
        )
        plots[1, 1].plot(ends[:, 1], scale * ends[:, 2], "o", color=colour, label=panel.title)
    unit = f", {maps.unit}" if maps.unit else ""
    smallest = min((row["weight_decay"] for row in data if row["weight_decay"] > 0), default=1.0)
    plots[1, 0].set_xscale("symlog", linthresh=smallest, base=2)
    for plot, across, up in (
        (plots[0, 0], "updates", "training loss"),
        (plots[0, 1], "updates", f"test error{unit}"),
        (plots[1, 0], "λ′ of Adam, λ of AdamW", f"final test error{unit}"),
        (plots[1, 1], "final training loss", f"final test error{unit}"),
    ):
        plot.set_xlabel(across)
        plot.set_ylabel(up)
    plots[0, 0].set_yscale("log")
    plots[1, 1].set_xscale("log")
    plots[1, 0].legend(frameon=False)
    plots[1, 1].legend(frameon=False)
    figure.legend(*plots[0, 1].get_legend_handles_labels(), loc="outside right upper", fontsize=7)
    return data


def _mean_points(maps: Maps, panel: Panel, position: tuple[int, int]) -> Any:
    """Updates, training loss and test error along the run, [looks, 3], means over seeds."""
    curves = [
        maps.curve("long", panel.cell(maps.landscape("long"), seed, position))
        for seed in range(len(panel.done))
    ]
    values = [[(p.update, p.train_loss, p.test_error) for p in curve] for curve in curves]
    return np.array(values, dtype=np.float64).mean(axis=0)


def _figure_4(figure: Figure, maps: Maps) -> Data:
    figure.set_size_inches(8, 4.5)
    plot = figure.subplots()
    data: Data = []
    scale = 100.0 if maps.unit == "%" else 1.0
    for optimizer, colour in (("AdamW", "#3b528b"), ("SGDW", "#b5367a")):
        for schedule, line in (("cosine", "--"), ("warm_restarts", "-")):
            panel = maps.panel("long", optimizer, schedule=schedule)
            updates, errors = trends.mean_curve(maps, "long", panel)
            title = optimizer if schedule == "cosine" else f"{optimizer[:-1]}WR"
            plot.plot(updates, scale * errors, line, color=colour, label=title)
            data += [
                {"optimizer": title, "update": update, "test_error": error}
                for update, error in zip(updates.tolist(), errors.tolist(), strict=True)
            ]
    plot.set_xlabel("updates")
    plot.set_ylabel(f"test error, {maps.unit}, best cell by final validation error")
    plot.legend(frameon=False)
    return data


def _figure_s1(figure: Figure, maps: Maps) -> Data:
    figure.set_size_inches(8, 3.6)
    plot, data = figure.subplots(), []
    updates = np.arange(1, 701)
    for name in ("constant", "step_drops", "cosine", "warm_restarts"):
        schedule = SCHEDULES[name](700)
        values = [float(schedule(int(update))) for update in updates]
        plot.plot(updates, values, label=WORDS.get(name, name))
        data += [
            {"schedule": name, "update": int(u), "eta": v}
            for u, v in zip(updates, values, strict=True)
        ]
    plot.set_xlabel("updates")
    plot.set_ylabel("schedule multiplier η")
    plot.legend(frameon=False)
    return data


def _figure_s2(figure: Figure, maps: Maps) -> Data:
    panels = [[maps.panel("long-fixed", name) for name in ("Adam", "AdamW")]]
    return _grid_of_maps(figure, panels, maps.unit, WORDS)


def _figure_s3(figure: Figure, maps: Maps) -> Data:
    figure.set_size_inches(9, 4)
    plots, data = figure.subplots(1, 2), []
    landscape = maps.landscape("budgets")
    for optimizer, marker in (("AdamW", "o"), ("SGDW", "s")):
        for size in landscape.batch_sizes:
            for updates in landscape.updates:
                panel = maps.panel("budgets", optimizer, updates=updates, batch_size=size)
                everyone = np.arange(len(panel.done))[None, :]
                raw = float(2 ** trends.best_decay(panel, everyone)[0])
                data.append(
                    {
                        "optimizer": optimizer,
                        "batch_size": size,
                        "updates": updates,
                        "best_weight_decay": raw,
                        "best_normalized": raw * updates**0.5,
                    }
                )
            mine = [r for r in data if (r["optimizer"], r["batch_size"]) == (optimizer, size)]
            for plot, what in zip(plots, ("best_weight_decay", "best_normalized"), strict=True):
                across = [row["updates"] for row in mine]
                plot.plot(
                    across, [row[what] for row in mine], f"{marker}-", label=f"{optimizer}, {size}"
                )
    for plot, text in zip(plots, ("best λ", "best λ_norm = λ·√updates"), strict=True):
        plot.set_xscale("log", base=2)
        plot.set_yscale("log", base=2)
        plot.set_xlabel("updates")
        plot.set_ylabel(text)
    plots[0].legend(frameon=False, fontsize=7, title="optimizer, batch size")
    return data


def _figure_s4(figure: Figure, maps: Maps) -> Data:
    panels = [[maps.panel("main", name) for name in ("Adam", "AdamW")]]
    return _grid_of_maps(figure, panels, maps.unit, WORDS)


FIGURES: Mapping[str, PaperFigure] = {
    figure.number: figure
    for figure in (
        PaperFigure(
            "1", "Figure 1: Adam and AdamW under three schedules", ("main", "schedules"), _figure_1
        ),
        PaperFigure("2", "Figure 2: decay coupled and decoupled", ("main",), _figure_2),
        PaperFigure("3", "Figure 3: learning curves and generalisation", ("long",), _figure_3),
        PaperFigure("4", "Figure 4: warm restarts", ("long",), _figure_4),
        PaperFigure("s1", "Supplementary figure: schedules", (), _figure_s1),
        PaperFigure(
            "s2", "Supplementary figure: fixed rate, long budget", ("long-fixed",), _figure_s2
        ),
        PaperFigure("s3", "Supplementary figure: best decay by budget", ("budgets",), _figure_s3),
        PaperFigure(
            "s4", "Supplementary figure: other data", ("main",), _figure_s4, "breast-cancer"
        ),
    )
}

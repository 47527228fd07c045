"""The paper's figures that are curves: over updates, over λ, over budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unyoke.study import statistics
from unyoke.study.claims import trends
from unyoke.study.claims.heat_maps import WORDS, Data
from unyoke.study.claims.maps import Incomplete, Maps
from unyoke.study.landscape.axes import label
from unyoke.study.report.survey import Panel
from unyoke.study.training.training import SCHEDULES

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_3(figure: Figure, maps: Maps) -> Data:
    """Curves at the best α for every λ; below, final test error over λ and over training loss."""
    from matplotlib import colormaps

    figure.set_size_inches(10, 7.5)
    plots = figure.subplots(2, 2)
    data: Data = []
    scale = 100.0 if maps.unit == "%" else 1.0
    for optimizer, name in (("Adam", "autumn"), ("AdamW", "winter")):
        panel = maps.panel("long", optimizer)
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
    # Each of up to 25 powers of two would be labelled, over the next one's label
    plots[1, 0].xaxis.get_major_locator().set_params(numticks=7)
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
    figure.legend(*plots[0, 1].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return data


def _mean_points(maps: Maps, panel: Panel, position: tuple[int, int]) -> Any:
    """Updates, training loss and test error along the run, [evaluations, 3], means over seeds."""
    curves = [
        maps.curve("long", panel.cell(maps.landscape("long"), seed, position))
        for seed in range(len(panel.done))
    ]
    values = [[(p.update, p.train_loss, p.test_error) for p in curve] for curve in curves]
    return np.array(values, dtype=np.float64).mean(axis=0)


def figure_4(figure: Figure, maps: Maps) -> Data:
    """Errors along the run, with restarts and without."""
    figure.set_size_inches(8, 4.5)
    plot = figure.subplots()
    data: Data = []
    scale = 100.0 if maps.unit == "%" else 1.0
    for optimizer, colour in (("AdamW", "#3b528b"), ("SGDW", "#b5367a")):
        for schedule, line in (("cosine", "--"), ("warm_restarts", "-")):
            panel = maps.panel("restarts", optimizer, schedule=schedule)
            updates, errors = trends.mean_curve(maps, "restarts", panel)
            title = optimizer if schedule == "cosine" else f"{optimizer[:-1]}WR"
            plot.plot(updates, scale * errors, line, color=colour, label=title)
            data += [
                {"optimizer": title, "update": update, "test_error": error}
                for update, error in zip(updates.tolist(), errors.tolist(), strict=True)
            ]
    plot.set_xlabel("updates")
    plot.set_ylabel(f"test error, {maps.unit},\nbest cell by final validation error")
    plot.legend(frameon=False)
    return data


def figure_s1(figure: Figure, maps: Maps) -> Data:
    """Example schedules."""
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


def figure_s3(figure: Figure, maps: Maps) -> Data:
    """The best λ and λ_norm over budgets."""
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
                name = optimizer if size is None else f"{optimizer}, {size}"
                plot.plot(across, [row[what] for row in mine], f"{marker}-", label=name)
    for plot, text in zip(plots, ("best λ", "best λ_norm = λ·√updates"), strict=True):
        plot.set_xscale("log", base=2)
        plot.set_yscale("log", base=2)
        plot.set_xlabel("updates")
        plot.set_ylabel(text)
    plots[0].legend(frameon=False, fontsize=8)
    return data

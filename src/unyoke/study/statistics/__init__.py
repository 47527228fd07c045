"""What a landscape says, in numbers: pure functions of arrays.

`basin` and `ridge` have the statistics of one map, `intervals` and `ratios` how far a number is
known.
"""

from unyoke.study.statistics.basin import (
    BEST,
    Edge,
    Position,
    Sensitivity,
    best_cell,
    best_cells,
    edges,
    error_of_the_best,
    one_at_a_time_regret,
    sensitivity,
    tilt,
)
from unyoke.study.statistics.intervals import (
    Comparison,
    Interval,
    bootstrap,
    bootstrap_all,
    detectable_effect,
    holm,
    mean_interval,
    paired_difference,
    require_libraries,
)
from unyoke.study.statistics.ratios import Ratio, bootstrap_ratio
from unyoke.study.statistics.ridge import (
    best_decay,
    best_decays,
    exponent_class,
    least_squares,
    lr_sensitivity,
    plane,
    ridge,
)

__all__ = [
    "BEST",
    "Comparison",
    "Edge",
    "Interval",
    "Position",
    "Ratio",
    "Sensitivity",
    "best_cell",
    "best_cells",
    "best_decay",
    "best_decays",
    "bootstrap",
    "bootstrap_all",
    "bootstrap_ratio",
    "detectable_effect",
    "edges",
    "error_of_the_best",
    "exponent_class",
    "holm",
    "least_squares",
    "lr_sensitivity",
    "mean_interval",
    "one_at_a_time_regret",
    "paired_difference",
    "plane",
    "require_libraries",
    "ridge",
    "sensitivity",
    "tilt",
]

"""How long an optimizer's step takes, ours beside everybody else's, in one run.

cases.py        on which tensors, and which models
contenders.py   whose optimizers
timing.py       alternating rounds and their medians; nothing here knows what it times
measure.py      the measurements
fsdp.py         sharded parameters
report.py       a table, a plot and JSON
"""

from unyoke.bench.fsdp import measure as measure_fsdp
from unyoke.bench.measure import Settings, run
from unyoke.bench.report import write

__all__ = ["Settings", "measure_fsdp", "run", "write"]

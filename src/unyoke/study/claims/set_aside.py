"""Rows that no reasonable number of seeds decides, by task, with how many each would need.

The first page had 58 undecided rows of 148. From the spread that was seen there
(`benchmarks/claims_power.py`), these need more than 50 seeds of whole maps, or more than 500 of
best cells: their number lies near its margin, or decay gains too little there for a share of its
gain to be known. They are asked where they are named, and not else; the page lists them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

NEVER = math.inf
"""In some draws of the seeds the number itself does not exist."""

SET_ASIDE: Mapping[str, Mapping[str, float]] = {
    "digits": {
        "coupling/adam-tilt": 420,
        "coupling/adam-leans": 1849,
        "coupling/adam-regret": 5791,
        "training-loss/main": 1643,
        "schedules/adamw-cosine-constant": 691,
        "schedules/adamw-drops-constant": 9093,
        "others/amsgrad": 7901,
        "others/nd-adam": 6527,
    },
    "digits-plain": {
        "coupling/adam-regret": 176,
        "coupling/sgdw-upright": 127,
        "coupling/sgd-regret": 89,
    },
    "digits-noisy": {
        "coupling/adam-regret": 322,
        "coupling/sgd-regret": 118,
    },
    "fashion-patches": {
        "coupling/adam-tilt": NEVER,
        "coupling/adam-leans": NEVER,
        "coupling/adam-regret": 319,
        "coupling/sgd-regret": 66,
        "gain/sgdw": 651,
        "gain/equal": 25965,
    },
    "fashion-patches-plain": {
        "coupling/sgdw-upright": 72,
        "training-loss/main": 362,
    },
}

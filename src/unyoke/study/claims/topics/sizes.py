"""The sizes that decide: ends of regions that recur, and why they are where they are.

They were written and committed before any run that they decide; what was known beforehand is said
in docs/claims.md.

- `NOTABLE`: 5 % of the error. The paper reports 15 %; a third of that is still worth a change of
  optimizer, and less than that is seldom seen behind the noise of seeds.
- `SAME`: 10 % of the error, within which two gains are called the same.
- `TURN`: 1/4 in a slope of log2 against log2: half of what tells λ ∝ 1/√updates from a constant.
"""

from __future__ import annotations

NOTABLE = 0.05
SAME = 0.1
TURN = 0.25

MORE = "15 % is what the paper reports; a third of it is still notable"
HALF = "half of the 1/2 that tells λ ∝ 1/√updates from a constant λ"

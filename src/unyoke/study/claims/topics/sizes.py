"""The sizes that decide: ends of regions that recur, and why they are where they are.

They were written and committed before any run that they decide; what was known beforehand is said
in docs/verdicts.md.

- `PART_OF_GAIN`: 1/2 of what decay itself gains, where two decay rules are compared. Trials of
  medicines have the convention: what keeps at least half of an established effect is not inferior
  to what established it. With g₁ and g₂ for what two rules gain, g₂ − g₁ = (g₁ + g₂)/4 means that
  the better rule gains two thirds more than the other. A share of the error, in its place, would
  ask for more than decay can give where decay gains little, and for next to nothing where it gains
  much.
- `NOTABLE`: 5 % of the error, where something else than two decay rules is compared. The paper
  reports 15 %; a third of that is still worth a change of optimizer, and less than that is seldom
  seen behind the noise of seeds.
- `TURN`: 1/4 in a difference of two slopes of log2 against log2, a quarter of what tells a diagonal
  from an upright basin; and for a slope over budgets half of what tells λ ∝ 1/√updates from a
  constant.
- `NEARER`: 1/2, the middle between a basin that is upright in λ and one that is in λ/α or α·λ.
"""

from __future__ import annotations

PART_OF_GAIN = 0.5
NOTABLE = 0.05
TURN = 0.25
NEARER = 0.5

PART = "half of what decay itself gains, the usual margin for keeping an established effect"
MORE = "15 % is what the paper reports; a third of it is still notable"
HALF = "the sign decides; 1/4 is half of what tells λ ∝ 1/√updates from a constant λ"
TWO = (
    "both rules predict one number: it holds where the data reject the other rule's and not its own"
)
MIDDLE = "1/2 is the middle: nearer to upright in λ than in λ/α or α·λ"

BEST = "the best cells of the maps, trained again"
"""With seeds that chose nothing; see `unyoke.study.claims.chosen`."""

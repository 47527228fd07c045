"""The paper's claims as a command tests them, and its figures as the command draws them.

`plan` has the landscapes, `catalogue` the claims with thresholds that were written before any
run that decides them, `verdicts` the rule by which a number becomes a verdict, `run` and `page` the
rest. The command line is `unyoke claims` and `unyoke figure`.
"""

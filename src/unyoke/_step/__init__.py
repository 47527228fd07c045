"""How one update is made: hyperparameters, counters, plan, guards, capture and replay."""

"""One file in which every cell is claimed, run and recorded once."""

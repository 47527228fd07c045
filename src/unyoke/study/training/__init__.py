"""How cells are trained, one by one or stacked."""

"""Tasks: data, model, loss and metric from a seed."""

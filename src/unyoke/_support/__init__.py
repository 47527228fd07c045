"""Helpers of several rooms: registries, a model's layers, wrappers, warnings at the user's line."""

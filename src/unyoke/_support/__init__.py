"""What several rooms need and no user: registries, a model's layers, wrappers, whose line warns."""

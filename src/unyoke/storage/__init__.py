"""How state and weights are kept: float32, bfloat16 or 8-bit blocks, and how they are rounded."""

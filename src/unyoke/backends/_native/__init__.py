"""What reads Python's and torch's memory, for the cpu and the gpu backend alike."""

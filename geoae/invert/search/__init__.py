"""Search for the most likely codes."""

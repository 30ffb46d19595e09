"""Training: the loop, its recipe, checkpoint and shared losses."""

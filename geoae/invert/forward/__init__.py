"""The forward model of a user, and the runs of it."""

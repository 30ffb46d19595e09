"""Labelled arrays and their samples to files. Never torch."""

"""Gridded fields: denoising, training and its data."""

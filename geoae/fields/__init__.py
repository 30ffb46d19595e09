"""Gridded fields: training data, training and denoising."""

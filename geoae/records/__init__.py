"""Seismic records: training data, training, denoising and scores."""

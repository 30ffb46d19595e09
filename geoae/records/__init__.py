"""Seismic records: denoising, training and its data."""

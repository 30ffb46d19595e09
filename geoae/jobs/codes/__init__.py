"""Stores of latent codes, and back."""

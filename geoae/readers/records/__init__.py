"""Readers of recordings: one module for each family of formats."""

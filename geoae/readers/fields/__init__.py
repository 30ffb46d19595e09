"""Readers of gridded fields."""

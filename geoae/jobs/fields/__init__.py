"""Gridded fields, file to file."""

"""Recordings, file to file."""

"""Codes of windows of records and fields."""

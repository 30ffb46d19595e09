"""Codes as a place to work in: decode with derivatives, sample, compare, report."""

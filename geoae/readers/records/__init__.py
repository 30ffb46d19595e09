"""Readers of recordings; one module a family of formats."""

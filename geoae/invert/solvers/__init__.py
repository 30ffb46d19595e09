"""Solvers that are neither a search nor a Markov chain."""

"""Posteriors without Markov chains: Laplace's method, randomised maximum likelihood, and an ensemble smoother."""

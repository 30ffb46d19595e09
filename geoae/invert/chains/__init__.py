"""Markov chains of codes: samplers, the emulator they may run on, and their convergence."""

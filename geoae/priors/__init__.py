"""Priors of models: few codes that are N(0, I), and what is done with them."""

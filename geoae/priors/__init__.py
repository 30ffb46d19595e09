"""Priors of models: short latent codes distributed as N(0, I), their training, reports and latent space."""

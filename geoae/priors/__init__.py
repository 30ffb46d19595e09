"""Priors of models: short latent codes distributed as N(0, I), their training, reports and latent space."""

from geoae.deprecated.paths import moved_names

__getattr__ = moved_names(__name__)

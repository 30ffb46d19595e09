"""Latent spaces of priors: decode with derivatives, sample, compare, report."""

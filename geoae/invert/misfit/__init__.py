"""The weights of misfits: noise, and the representation error estimated from held-out models."""

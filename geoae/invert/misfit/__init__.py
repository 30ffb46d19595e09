"""What misfits are weighed by: noise, and the representation error estimated from held-out models."""

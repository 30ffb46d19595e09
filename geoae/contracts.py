"""The contract of each kind: what a model takes, written into model.json and checked before it works."""

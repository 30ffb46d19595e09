"""Checks that authors of plugins can run on their own nets and readers."""

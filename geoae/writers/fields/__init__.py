"""Writers of gridded fields."""

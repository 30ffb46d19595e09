"""Old names and paths, which work for one release and warn."""

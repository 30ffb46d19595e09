"""Write files whole or not at all; the private parts of ObsPy; YAML files that people write."""

"""Files: written whole or not at all, and the private parts of the libraries that read and write them."""

"""The verbs, file to file: what the command line and the notebook call."""

"""The verbs for a notebook; each returns the kind of object that it was given."""

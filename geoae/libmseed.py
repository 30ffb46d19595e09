"""The lock of ObsPy's miniSEED library: it reports through one global callback, and warnings through global state."""

import threading

LIBMSEED_LOCK = threading.Lock()

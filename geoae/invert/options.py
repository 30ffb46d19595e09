"""What a caller can ask of each method, and whether it is what was expected."""

from typing import Any

import numpy as np

from geoae.errors import InputError
from geoae.invert.chains import samplers

_MODES = {"n_starts": None, "n_steps": None}
OPTIONS: dict[str, dict[str, Any]] = {
    "map": _MODES,
    "laplace": _MODES,
    "rml": {"n_refine": 3, **_MODES},
    "esmda": {"n_members": 200, "n_steps": 4},
    "mcmc": {**samplers.OPTIONS, **_MODES},
}
"""Method -> its options beside those of all methods, with their defaults."""


def settings(method: str, given: dict[str, Any]) -> dict[str, Any]:
    """All options of a method, the given ones among them.

    Raises
    ------
    InputError
        There is no such method or option.
    """
    if method not in OPTIONS:
        raise InputError(f"method is {method!r}; choose {', '.join(OPTIONS)}.")
    known = OPTIONS[method]
    if unknown := sorted(given.keys() - known.keys()):
        raise InputError(f"solve({method!r}) has no option {', '.join(unknown)}; it has {', '.join(known)}.")
    return {**known, **given}


def at_least(least: int, **given: Any) -> None:
    """Refuse what is no whole number, or too small; None is left to the method.

    Raises
    ------
    InputError
        With the name and the value.
    """
    for name, value in given.items():
        if value is not None and (not isinstance(value, int | np.integer) or value < least):
            raise InputError(f"{name} is {value!r}; give a whole number of at least {least}.")

"""How much of the noise is kept for a purpose, such as picking: a share of it that the contract of a model names."""

from geoae.errors import OptionError
from geoae.model import Model, require_contract
from geoae.records.contract import RecordContract


def find_share(model: Model, purpose: str) -> float:
    """Share of the removed noise that is kept for a purpose; it may be negative, which removes more than the noise.

    Raises
    ------
    OptionError
        The model has no purpose of that name.
    """
    shares = require_contract(model, RecordContract).purposes
    if purpose not in shares:
        known = f"has these: {', '.join(shares)}" if shares else "has none; leave it out, or choose a share with --dry"
        raise OptionError(f"The purpose (--for) is {purpose!r}; model {model.name!r} {known}.")
    return float(shares[purpose])

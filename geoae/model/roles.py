"""Make a model of the class of its kind, and check that a model is of the kind that a function needs."""

from typing import TYPE_CHECKING, Any, TypeVar

from geoae import kinds
from geoae.errors import InputError
from geoae.model.card import describe_model, list_shipped_models
from geoae.model.contract import AnyContract
from geoae.model.model import Model

if TYPE_CHECKING:
    from torch import nn

C = TypeVar("C", bound=AnyContract)
R = TypeVar("R", bound=Model)


def make_model(
    contract: AnyContract, net_name: str, net_config: dict[str, Any], net: "nn.Module", scaler: Any, **fields: Any
) -> Model:
    """Make a model of the class that belongs to the kind of `contract`; `fields` are further fields of `Model`."""
    role: type[Model] = kinds.load_name(kinds.find_kind(contract.kind).role)
    return role(contract, net_name, net_config, net, scaler, **fields)


def require_contract(model: Model, wanted: type[C]) -> C:
    """Return the contract of a model after checking that it is of class `wanted`.

    Raises
    ------
    InputError
        The model is of another kind. The message names the shipped models of the right kind.
    """
    if isinstance(model.contract, wanted):
        return model.contract
    fitting = [name for name in list_shipped_models() if describe_model(name)["kind"] == wanted.kind]
    expected = kinds.find_kind(wanted.kind).description
    raise InputError(
        f"Model {model.name!r} ({model.contract.summary.rstrip('.')}) is not {expected}. "
        + (f"Shipped models that are: {', '.join(fitting)}." if fitting else "Train one: geoae train RECIPE.")
    )


def require_role(model: Model, role: type[R]) -> R:
    """Return the model after checking that it is an object of class `role`.

    Raises
    ------
    InputError
        Models of its kind have another role.
    """
    if isinstance(model, role):
        return model
    found = kinds.find_kind(model.contract.kind).description
    raise InputError(
        f"Model {model.name!r} is {found}, of class {type(model).__name__}; a {role.__name__} was expected. "
        "Load it with geoae.load_model, or make it with geoae.model.make_model."
    )

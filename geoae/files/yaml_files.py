"""YAML files that people write (recipes, catalogs, jobqueue files): read, checked, with errors of one line."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from geoae.errors import RecipeError, one_line

M = TypeVar("M", bound=BaseModel)


def read_yaml(path: Path, what: str) -> Any:
    """The content of a YAML file. `what` is its kind in messages, such as "jobqueue file".

    Raises
    ------
    RecipeError
        The file is missing, or is no YAML.
    """
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise RecipeError(f"There is no {what} {path}.") from None
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}. A {what} was expected.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path} cannot be read as YAML, so it is no {what}: {one_line(error)}") from error


def validate_yaml(model: type[M], data: Any, path: Path, what: str, inside: int = 0) -> M:
    """`data` as the class that checks it; `inside` is how many outer keys of it are not those of the file.

    Raises
    ------
    RecipeError
        Keys that are unknown or missing, values that cannot be: all of them are named.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc'][inside:])) or 'file'}: {_describe_fault(e)}" for e in error.errors()
        )
        raise RecipeError(f"{path.name} is no {what}: {faults}.") from error


def _describe_fault(fault: Any) -> str:
    """One fault of pydantic in words, with the value that was given unless the words name it."""
    message = fault["msg"].removeprefix("Value error, ")
    came, kind = fault["input"], fault["type"]
    shown = isinstance(came, bool | int | float | str) and kind not in ("value_error", "missing", "extra_forbidden")
    return f"{message[:1].lower()}{message[1:]}{f', not {came!r}' if shown else ''}"

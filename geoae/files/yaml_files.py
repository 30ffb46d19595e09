"""Read and check YAML files that people write: recipes, catalogs, jobqueue files. Errors have one line."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from geoae.errors import RecipeError, one_line

M = TypeVar("M", bound=BaseModel)


def read_yaml(path: Path, file_kind: str) -> Any:
    """Content of a YAML file. `file_kind` names it in messages, such as "jobqueue file".

    Raises
    ------
    RecipeError
        The file is missing or is not YAML.
    """
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise RecipeError(f"There is no {file_kind} {path}.") from None
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}. A {file_kind} was expected.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path} cannot be read as YAML, so it is no {file_kind}: {one_line(error)}") from error


def validate_yaml(model: type[M], data: Any, path: Path, file_kind: str, n_outer_keys: int = 0) -> M:
    """Check the content of a file with a pydantic class.

    Parameters
    ----------
    model
        The class.
    data
        What it is made of.
    path, file_kind
        The file, for messages.
    n_outer_keys
        Number of outer keys of `data` that are not in the file; messages leave them out.

    Raises
    ------
    RecipeError
        Keys are unknown or missing, or values are invalid. The message names all of them.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc'][n_outer_keys:])) or 'file'}: {_describe_fault(e)}" for e in error.errors()
        )
        raise RecipeError(f"{path.name} is no {file_kind}: {faults}.") from error


def _describe_fault(fault: Any) -> str:
    """Describe one error of pydantic, with the wrong value unless the message already has it."""
    message = fault["msg"].removeprefix("Value error, ")
    value, kind = fault["input"], fault["type"]
    shown = isinstance(value, bool | int | float | str) and kind not in ("value_error", "missing", "extra_forbidden")
    return f"{message[:1].lower()}{message[1:]}{f', not {value!r}' if shown else ''}"

"""The state of a solution under way in one file, replaced whole, so that a kill leaves the last state."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoae.errors import StoreError, one_line
from geoae.files.whole import output_errors, whole_file

State = dict[str, NDArray[np.generic]]
IDENTITY = "identity"


def read(path: Path | None, identity: str) -> State | None:
    """The state that was kept, or None where there is none.

    Raises
    ------
    StoreError
        It is damaged, or belongs to another inversion: other data, prior, method or settings.
    """
    if path is None or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            state = {name: file[name] for name in file.files}
        found = str(state.pop(IDENTITY))
    except Exception as error:  # a file of anything can fail in any way
        raise StoreError(
            f"The checkpoint {path} cannot be read ({one_line(error)}). Remove it to start anew."
        ) from error
    if found != identity:
        raise StoreError(
            f"The checkpoint {path} belongs to another inversion (other data, prior, method or settings). "
            "Choose another file, or remove it to start anew."
        )
    return state


def write(path: Path | None, identity: str, state: State) -> None:
    """Keep a state; nothing happens without a path.

    Raises
    ------
    OutputError
        It cannot be written; the last state is left as it was.
    """
    if path is None:
        return
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **{**state, IDENTITY: np.array(identity)})

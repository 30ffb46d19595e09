"""The state of an unfinished solution in one file, replaced as a whole, so that a kill leaves the last state."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.errors import StoreError, one_line
from geoae.files.whole import output_errors, whole_file

State = dict[str, NDArray[np.generic]]
IDENTITY = "identity"


@dataclass(frozen=True)
class Checkpoint:
    """Where the state is kept, and which inversion it belongs to."""

    path: Path | None = None
    """None: nothing is kept."""
    identity: str = ""
    """A digest of data, prior, method and settings."""

    @property
    def hint(self) -> str:
        """What an error about the time limit says of the state, with a leading space; empty without a file."""
        return "" if self.path is None else f" The state is in {self.path}: the same call goes on from there."

    def read(self) -> State | None:
        """The state that was kept, or None where there is none.

        Raises
        ------
        StoreError
            It is damaged, or belongs to another inversion: other data, prior, method or settings.
        """
        path = self.path
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
        if found != self.identity:
            raise StoreError(
                f"The checkpoint {path} belongs to another inversion (other data, prior, method or settings). "
                "Choose another file, or remove it to start anew."
            )
        return state

    def write(self, state: State) -> None:
        """Keep a state; without a path nothing happens.

        Raises
        ------
        OutputError
            It cannot be written; the last state is left as it was.
        """
        path = self.path
        if path is None:
            return
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part, part.open("wb") as file:
            np.savez(file, allow_pickle=False, **{**state, IDENTITY: np.array(self.identity)})


def identify(values: list[Any], *arrays: NDArray[np.generic]) -> str:
    """A digest of plain values and arrays, by which a checkpoint knows its inversion."""
    digest = hashlib.sha256(json.dumps(values, default=str).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

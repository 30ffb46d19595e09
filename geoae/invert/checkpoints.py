"""Checkpoints: the state of an unfinished solution in one file, which is replaced as a whole."""

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
    """The file of a solution's state, and the identity of the solution."""

    path: Path | None = None
    """None: no state is kept."""
    identity: str = ""
    """A digest of data, prior, method and settings."""

    @property
    def hint(self) -> str:
        """Sentence for errors about the time limit, with a leading space; empty without a file."""
        return "" if self.path is None else f" The state is in {self.path}; the same call resumes from it."

    def read(self) -> State | None:
        """Read the state; None if there is no file.

        Raises
        ------
        StoreError
            The file is damaged, or belongs to another inversion: other data, prior, method or settings.
        """
        path = self.path
        if path is None or not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                state = {name: file[name] for name in file.files}
            identity = str(state.pop(IDENTITY))
        except Exception as error:  # other files can fail in any way
            raise StoreError(
                f"The checkpoint {path} cannot be read ({one_line(error)}). Remove it to start anew."
            ) from error
        if identity != self.identity:
            raise StoreError(
                f"The checkpoint {path} belongs to another inversion (other data, prior, method or settings). "
                "Choose another file, or remove it to start anew."
            )
        return state

    def write(self, state: State) -> None:
        """Write a state to the file, if there is one.

        Raises
        ------
        OutputError
            The state cannot be written; the file still holds the last one.
        """
        path = self.path
        if path is None:
            return
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part, part.open("wb") as file:
            np.savez(file, allow_pickle=False, **{**state, IDENTITY: np.array(self.identity)})


def identify(values: list[Any], *arrays: NDArray[np.generic]) -> str:
    """Compute a digest of plain values and arrays, which identifies an inversion."""
    digest = hashlib.sha256(json.dumps(values, default=str).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

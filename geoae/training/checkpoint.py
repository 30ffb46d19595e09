"""Files that a training writes while it runs: its state, without pickle, and the table of its validations.

The state is two files: tensors in safetensors, the rest in JSON.
"""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from geoae.errors import ModelFileError, one_line
from geoae.files.whole import write_bytes, write_text

TENSORS, FACTS = "checkpoint.safetensors", "checkpoint.json"

Modules = dict[str, nn.Module]
Optimizers = dict[str, torch.optim.Optimizer]


def save_checkpoint(folder: Path, modules: Modules, optimizers: Optimizers, facts: dict[str, Any]) -> None:
    """Write modules, moments of the optimizers, and `facts`; modules and optimizers have different names.

    Each file is replaced whole, so a killed training leaves the previous state.
    """
    tensors: dict[str, Tensor] = {}
    for name, module in modules.items():
        tensors.update({f"{name}/{k}": v for k, v in module.state_dict().items()})
    for name, optimizer in optimizers.items():
        for index, moments in optimizer.state_dict()["state"].items():
            tensors.update({f"{name}/{index}/{k}": v for k, v in moments.items()})
    folder.mkdir(parents=True, exist_ok=True)
    file = f"{int(facts['step'])}.{TENSORS}"
    write_bytes(folder / file, to_bytes({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}))
    # once this file is replaced, the new state is valid
    write_bytes(folder / FACTS, json.dumps({**facts, "tensors": file}).encode())
    for old in folder.glob(f"*.{TENSORS}"):
        if old.name != file:
            old.unlink()


def read_facts(folder: Path) -> dict[str, Any] | None:
    """Read the facts of the last checkpoint in `folder`; None if there is none.

    Raises
    ------
    ModelFileError
        checkpoint.json is damaged.
    """
    if not (folder / FACTS).is_file():
        return None
    with _checkpoint_errors(folder):
        facts = json.loads((folder / FACTS).read_text())
        if not isinstance(facts, dict) or (missing := sorted({"step", "recipe", "tensors"} - facts.keys())):
            raise ValueError(f"{FACTS} lacks {', '.join(missing) if isinstance(facts, dict) else 'everything'}")
        return facts


def load_checkpoint(folder: Path, facts: dict[str, Any], modules: Modules, optimizers: Optimizers) -> None:
    """Load the state that belongs to `facts` into modules and optimizers, under the names of saving.

    Raises
    ------
    ModelFileError
        The tensors are missing or damaged, or do not fit the modules.
    """
    with _checkpoint_errors(folder):
        tensors = load_file(folder / facts["tensors"])
        for name, module in modules.items():
            module.load_state_dict(
                {k.removeprefix(f"{name}/"): v for k, v in tensors.items() if k.startswith(f"{name}/")}
            )
        for name, optimizer in optimizers.items():
            state = optimizer.state_dict()
            for key, value in tensors.items():
                if key.startswith(f"{name}/"):
                    _, index, moment = key.split("/")
                    state["state"].setdefault(int(index), {})[moment] = value
            optimizer.load_state_dict(state)


def write_history(path: Path, history: list[dict[str, Any]]) -> None:
    """Write the rows of all validations as a CSV table; the file is replaced whole."""
    names = dict.fromkeys(name for row in history for name in row)
    table = io.StringIO(newline="")
    # rows from older checkpoints lack the columns of the terms of the loss
    writer = csv.DictWriter(table, list(names), restval="nan")
    writer.writeheader()
    writer.writerows(history)
    write_text(path, table.getvalue())


@contextmanager
def _checkpoint_errors(folder: Path) -> Iterator[None]:
    """Turn errors of a damaged checkpoint into a ModelFileError of one line."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelFileError(
            f"The checkpoint in {folder} cannot be resumed ({one_line(error)}). Remove it to start anew."
        ) from error

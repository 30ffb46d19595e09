"""What a training writes on its way: its state without pickle, and the table of its validations.

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
    """Write modules, moments of the optimizers and `facts`, under names that are all different.

    Each file is replaced whole, so a kill leaves the last state.
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
    # from here on the new state counts
    write_bytes(folder / FACTS, json.dumps({**facts, "tensors": file}).encode())
    for old in folder.glob(f"*.{TENSORS}"):
        if old.name != file:
            old.unlink()


def read_facts(folder: Path) -> dict[str, Any] | None:
    """The facts of the last `save_checkpoint` in `folder`, or None where there is none.

    Raises
    ------
    ModelFileError
        checkpoint.json is damaged.
    """
    if not (folder / FACTS).is_file():
        return None
    with _one_line(folder):
        facts = json.loads((folder / FACTS).read_text())
        if not isinstance(facts, dict) or (missing := sorted({"step", "recipe", "tensors"} - facts.keys())):
            raise ValueError(f"{FACTS} lacks {', '.join(missing) if isinstance(facts, dict) else 'everything'}")
        return facts


def load_checkpoint(folder: Path, facts: dict[str, Any], modules: Modules, optimizers: Optimizers) -> None:
    """Fill modules and optimizers, named as they were saved, with the state that `facts` belong to.

    Raises
    ------
    ModelFileError
        The tensors are missing, damaged, or not those of these modules.
    """
    with _one_line(folder):
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
    # rows of a checkpoint written before the terms of the loss were recorded lack their columns
    writer = csv.DictWriter(table, list(names), restval="nan")
    writer.writeheader()
    writer.writerows(history)
    write_text(path, table.getvalue())


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelFileError(
            f"The checkpoint in {folder} cannot be resumed ({one_line(error)}). Remove it to start anew."
        ) from error

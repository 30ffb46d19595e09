"""The state of a training in two files without pickle: tensors in safetensors, the rest in JSON."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from geoae.errors import ModelFileError

TENSORS, FACTS = "checkpoint.safetensors", "checkpoint.json"


def save(folder: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer, facts: dict[str, Any]) -> None:
    """Write modules, optimizer moments and `facts`; each file is replaced whole, so a kill leaves the last one."""
    tensors: dict[str, Tensor] = {}
    for name, module in modules.items():
        tensors.update({f"{name}/{k}": v.detach().cpu().contiguous() for k, v in module.state_dict().items()})
    for index, moments in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer/{index}/{k}": v.detach().cpu().contiguous() for k, v in moments.items()})
    version = int(facts["step"])
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{version}.{TENSORS}.part"
    save_file({k: v.clone() for k, v in tensors.items()}, part, metadata={"step": str(version)})
    os.replace(part, folder / f"{version}.{TENSORS}")
    part = folder / f".{FACTS}.part"
    part.write_text(json.dumps({**facts, "tensors": f"{version}.{TENSORS}"}))
    os.replace(part, folder / FACTS)  # from here on the new state counts
    for old in folder.glob(f"*.{TENSORS}"):
        if old.name != f"{version}.{TENSORS}":
            old.unlink()


def load(folder: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Fill modules and optimizer from the last `save` in `folder`; its facts, or None where there is none."""
    if not (folder / FACTS).is_file():
        return None
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text())
        tensors = load_file(folder / facts["tensors"])
        for name, module in modules.items():
            module.load_state_dict(
                {k.removeprefix(f"{name}/"): v for k, v in tensors.items() if k.startswith(f"{name}/")}
            )
    except Exception as error:  # safetensors raises its own kinds; whatever it is, the way out is the same
        raise ModelFileError(
            f"The checkpoint in {folder} cannot be resumed ({error}). Remove it to start anew."
        ) from error
    state = optimizer.state_dict()
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, index, moment = key.split("/")
            state["state"].setdefault(int(index), {})[moment] = value
    optimizer.load_state_dict(state)
    return facts

"""Model: a net with its scaler, contract and digest. What a model of some kind can do is in its role, a subclass."""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from geoae._version import __version__
from geoae.errors import InputError
from geoae.files.whole import output_errors, write_bytes, write_text
from geoae.model import weights_file
from geoae.model.card import CARD, COMPANIONS, FORMAT, README, WEIGHTS
from geoae.model.contract import AnyContract
from geoae.model.threads import PART, map_parts

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass
class Model:
    """A net and all that belongs to it, whatever its kind.

    `geoae.load_model` and `make_model` give the class of the model's kind, such as `Denoiser`.
    """

    contract: AnyContract
    net_name: str
    net_config: dict[str, Any]
    net: "nn.Module"
    scaler: Any
    """Frozen dataclass of the kind's class: brings the net's input to its scale, and results back."""
    digest: str = "unsaved"
    """First 12 hex digits of the SHA-256 of the weights file."""
    device: str = "cpu"
    precision: str = "float32"
    pool: Executor | None = None
    """Threads that share the windows of a batch; each window is computed by one, so their number changes no digit."""
    threads: int = 1
    folder: Path | None = None
    """Where it was loaded from; workers load it from there."""
    companions: dict[str, NDArray[Any]] = field(default_factory=dict)
    """Arrays that travel with the weights, such as held-out models; the contract holds `companions_sha256` for them."""

    @property
    def name(self) -> str:
        """What `--model` calls it."""
        return self.contract.name

    @property
    def home(self) -> Path:
        """The folder that workers load the model from; InputError where it came from none."""
        if self.folder is None:
            raise InputError(
                f"Model {self.name!r} was given as an object that comes from no folder, and workers load it from one. "
                "Save it, and give the folder."
            )
        return self.folder

    def to(self, device: str, precision: str = "float32") -> Self:
        """The same model on a device ("cpu", "cuda", "mps") at a precision ("float32", "bfloat16")."""
        self.net.to(device)
        self.device, self.precision = device, precision
        return self

    def batched(self, work: Callable[[Any], NDArray[Any]], batch: NDArray[Any]) -> NDArray[Any]:
        """`work` on windows (batch, ...), in parts that the model's threads take."""
        return map_parts(work, batch, PART if self.device == "cpu" else max(len(batch), 1), self.pool)

    def run(self, work: Callable[["Tensor"], "Tensor"], batch: NDArray[Any]) -> NDArray[np.float32]:
        """`work` on a batch as a float32 tensor on the model's device, at its precision, without gradients.

        Raises
        ------
        InputError
            A value of the result is not finite.
        """
        import torch

        kind = self.device.split(":")[0]
        half = self.precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=half):
            x = torch.from_numpy(np.asarray(batch, dtype=np.float32)).to(self.device)
            out: NDArray[np.float32] = work(x).cpu().numpy()
        if not np.isfinite(out).all():
            raise InputError("the net gave a value that is not finite; the input's values may lie too far apart")
        return out

    def save(self, folder: Path, card: str) -> None:
        """Write weights.safetensors, model.json and card.md, and companions.safetensors where there are companions.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        raw, sha = weights_file.pack_weights(self.net)
        self.digest = sha[:12]
        companions = self._seal_companions()
        facts = {
            "format": FORMAT,
            "kind": self.contract.kind,
            "geoae": __version__,
            "net": self.net_name,
            "config": self.net_config,
            "scaler": asdict(self.scaler),
            "contract": asdict(self.contract),
            "weights_sha256": sha,
        }
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / WEIGHTS, raw)  # not save_file, whose files only their owner may read
        write_text(folder / CARD, json.dumps(facts, indent=2, sort_keys=True) + "\n")
        write_text(folder / README, card)
        if companions:
            write_bytes(folder / COMPANIONS, companions)

    def _seal_companions(self) -> bytes:
        """Content of the file of companions; its digest goes into the contract."""
        if not self.companions:
            return b""
        from safetensors.numpy import save

        raw = save({k: np.ascontiguousarray(v) for k, v in self.companions.items()})
        self.contract = replace(self.contract, companions_sha256=hashlib.sha256(raw).hexdigest())
        return raw

"""Model: a net with its scaler, contract and digest. Subclasses, called roles, add the methods of a kind."""

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
from geoae.errors import InputError, SamplesError
from geoae.files.together import replace_files
from geoae.files.whole import output_errors
from geoae.model import weights_file
from geoae.model.card import CARD, COMPANIONS, FORMAT, README, WEIGHTS
from geoae.model.contract import AnyContract
from geoae.model.threads import PART, map_parts

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(repr=False)
class Model:
    """A net and all that belongs to it, for every kind.

    `geoae.load_model` and `make_model` return an object of the class of the model's kind, such as `Denoiser`.
    """

    contract: AnyContract
    net_name: str
    net_config: dict[str, Any]
    net: "nn.Module"
    scaler: Any
    """Frozen dataclass of its kind: scales the input of the net, and scales results back."""
    digest: str = "unsaved"
    """First 12 hex digits of the SHA-256 of the weights file."""
    device: str = "cpu"
    precision: str = "float32"
    pool: Executor | None = None
    """Threads that share the windows of a batch; the result does not depend on their number."""
    threads: int = 1
    folder: Path | None = None
    """The folder it was loaded from; worker processes load the model from it."""
    companions: dict[str, NDArray[Any]] = field(default_factory=dict)
    """Arrays stored beside the weights, such as held-out models; the contract has their digest, `companions_sha256`."""

    partner: "Model | None" = None
    """A model of the same kind that works beside this one, if its contract names one; see `geoae.records.periods`."""

    def __repr__(self) -> str:
        summary = self.contract.summary.rstrip(".")
        return f"{type(self).__name__}({self.name!r}: {summary}; net {self.net_name}, {self.digest}, {self.device})"

    @property
    def name(self) -> str:
        """Name of the model, for `--model`."""
        return self.contract.name

    @property
    def digests(self) -> str:
        """Digest, and that of the partner: equal if the results are."""
        return self.digest + (f"+{self.partner.digests}" if self.partner else "")

    @property
    def label(self) -> str:
        """Name and digest, also of the partner, for summaries."""
        return f"{self.name} {self.digest}" + (f" + {self.partner.label}" if self.partner else "")

    @property
    def home(self) -> Path:
        """The folder that worker processes load the model from; raises InputError for a model without a folder."""
        if self.folder is None:
            raise InputError(
                f"Model {self.name!r} was given as an object that comes from no folder, and workers load it from one. "
                "Save it, and give the folder."
            )
        return self.folder

    def to(self, device: str, precision: str = "float32") -> Self:
        """Move the model to a device ("cpu", "cuda", "mps") and set its precision ("float32", "bfloat16")."""
        self.net.to(device)
        self.device, self.precision = device, precision
        if self.partner:
            self.partner.to(device, precision)
        return self

    def batched(self, function: Callable[[Any], NDArray[Any]], batch: NDArray[Any]) -> NDArray[Any]:
        """Apply `function` to windows (batch, ...), part by part, on the threads of the model."""
        return map_parts(function, batch, PART if self.device == "cpu" else max(len(batch), 1), self.pool)

    def run(self, method: Callable[["Tensor"], "Tensor"], batch: NDArray[Any]) -> NDArray[np.float32]:
        """Apply a method of the net to a batch: float32, on the model's device, at its precision, without gradients.

        Raises
        ------
        SamplesError
            The result has a value that is not finite.
        """
        import torch

        kind = self.device.split(":")[0]
        half = self.precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=half):
            x = torch.from_numpy(np.asarray(batch, dtype=np.float32)).to(self.device)
            out: NDArray[np.float32] = method(x).float().cpu().numpy()
        if not np.isfinite(out).all():
            raise SamplesError("the net gave a value that is not finite; the input's values may lie too far apart")
        return out

    def save(self, folder: Path, card: str) -> None:
        """Write weights.safetensors, model.json, card.md and, if there are companions, companions.safetensors.

        They replace those of another model together: a process that is killed leaves one model or the other.

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
        files = {
            WEIGHTS: raw,
            CARD: (json.dumps(facts, indent=2, sort_keys=True) + "\n").encode(),
            README: card.encode(),
        }
        replace_files(folder, files | ({COMPANIONS: companions} if companions else {}))
        if not companions:
            with output_errors(folder):
                (folder / COMPANIONS).unlink(missing_ok=True)  # of the model that was replaced

    def _seal_companions(self) -> bytes:
        """Content of the file of companions; writes its digest into the contract."""
        if not self.companions:
            return b""
        from safetensors.numpy import save

        raw = save({k: np.ascontiguousarray(v) for k, v in self.companions.items()})
        self.contract = replace(self.contract, companions_sha256=hashlib.sha256(raw).hexdigest())
        return raw

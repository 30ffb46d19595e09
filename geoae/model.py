"""Model: a net with its scaler, window and provenance, saved as data and loaded strictly; numpy in, numpy out."""

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from dataclasses import field as dataclass_field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from geoae import contracts, nets, weights_file
from geoae._version import __version__
from geoae.contracts import AnyContract, CodeContract, Contract, FieldContract, PriorContract
from geoae.errors import GeoAEError, InputError, ModelFileError, UnknownNameError
from geoae.files.whole import output_errors, write_bytes, write_text
from geoae.scaling import FieldScaler, Scaler, Stats
from geoae.transforms import Transform

if TYPE_CHECKING:
    from torch import nn

FORMAT = 1
WEIGHTS, CARD, README = "weights.safetensors", "model.json", "card.md"
_SHIPPED = Path(__file__).parent / "weights"
DEFAULT = "seismic"
PART = 2
"""Windows that one thread takes at a time."""
COMPANIONS = "companions.safetensors"
C = TypeVar("C", Contract, FieldContract, CodeContract, PriorContract)


@dataclass
class Model:
    """A denoiser, a coder or a prior: scale, net, scale back."""

    contract: AnyContract
    net_name: str
    net_config: dict[str, Any]
    net: "nn.Module"
    scaler: Scaler | FieldScaler | Transform
    digest: str = "unsaved"
    """First 12 hex digits of the SHA-256 of the weights file."""
    device: str = "cpu"
    precision: str = "float32"
    pool: Executor | None = None
    """Threads that share the windows of a batch; each window is computed by one, so their number changes no digit."""
    threads: int = 1
    folder: Path | None = None
    """Where it was loaded from; workers load it from there."""
    companions: dict[str, NDArray[Any]] = dataclass_field(default_factory=dict)
    """Of a prior: arrays that travel with it, such as the models that were held out."""

    @property
    def record(self) -> Contract:
        """The contract of a denoiser of records; InputError for any other model."""
        return self._of(Contract, "a denoiser of records (seismic traces)")

    @property
    def field(self) -> FieldContract:
        """The contract of a denoiser of fields; InputError for any other model."""
        return self._of(FieldContract, "a denoiser of gridded fields")

    @property
    def codes(self) -> CodeContract:
        """The contract of a model with codes; InputError for any other model."""
        return self._of(CodeContract, "a model with codes")

    @property
    def prior(self) -> PriorContract:
        """The contract of a prior; InputError for any other model."""
        return self._of(PriorContract, "a prior of models (made by geoae.fit)")

    def _of(self, wanted: type[C], words: str) -> C:
        if isinstance(self.contract, wanted):
            return self.contract
        fitting = [n for n in shipped() if describe(n).get("kind", "record") == wanted.kind]
        raise InputError(
            f"Model {self.name!r} ({self.contract.summary.rstrip('.')}) is not {words}. "
            + (f"Shipped models that are: {', '.join(fitting)}." if fitting else "Train one: geoae train RECIPE.")
        )

    @property
    def name(self) -> str:
        """What `--model` calls it."""
        return self.contract.name

    def noise(self, batch: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """What the model takes away from windows, in their units; finite in gaps too.

        A denoiser of records takes (batch, component, time), rows E N Z, and answers for all of them; a missing
        component is NaN throughout. A denoiser of fields takes (batch, channel, y, x) as `context.channels` makes them
        and answers for the first channel. signal = batch - noise, so nothing else can change.
        """
        return self._shared(self._noise, batch)

    def encode(self, batch: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float32], Stats]:
        """Codes (batch, latent) of windows (batch, 1, *window), and what scaling took from each.

        Missing samples are taken as the window's mean.
        """
        x, stats = self._windows_scaler.apply(batch)
        return self._shared(lambda part: self._net("encode", part), x), stats

    def decode(self, codes: NDArray[np.floating[Any]], stats: Stats) -> NDArray[np.float64]:
        """Windows (batch, 1, *window) of codes (batch, latent), in the units of the data."""
        return self._windows_scaler.undo(self._shared(lambda part: self._net("decode", part), codes), stats)

    @property
    def _windows_scaler(self) -> Scaler | FieldScaler:
        if isinstance(self.scaler, Transform):
            raise InputError(f"{self.name!r} is a prior of models: give it to geoae.LatentSpace.")
        return self.scaler

    def _shared(self, work: Callable[[Any], NDArray[Any]], batch: NDArray[Any]) -> NDArray[Any]:
        """`work` on a batch, in parts that this model's threads take."""
        # torch's own threads would split one window among them, and wait for each other; ours take whole windows
        with one_thread():
            # always the same few windows a part: what the net's kernels make of a part depends on its size in the last
            # digits. Threads that finish early find more to do, and a part stays in the cache
            size = PART if self.device == "cpu" else max(len(batch), 1)
            parts = [batch[i : i + size] for i in range(0, len(batch), size)]
            if self.pool is None or len(parts) < 2:
                return np.concatenate([_whole(work, part, size) for part in parts]) if len(batch) else work(batch)
            return np.concatenate(list(self.pool.map(lambda part: _whole(work, part, size), parts)))

    def _noise(self, batch: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        import torch

        x, stats = self._windows_scaler.apply(batch)
        with torch.inference_mode(), self._autocast():
            t = torch.from_numpy(x).to(self.device)
            estimate = self.net(t).float()
            removed = (t[:, : estimate.shape[1]] - estimate).cpu().numpy()
        if not np.isfinite(removed).all():
            raise InputError(_NOT_FINITE)
        return removed * stats.gain

    def _net(self, method: str, batch: NDArray[Any]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode(), self._autocast():
            t = torch.from_numpy(np.asarray(batch, dtype=np.float32)).to(self.device)
            out: NDArray[np.float32] = getattr(self.net, method)(t).float().cpu().numpy()
        if not np.isfinite(out).all():
            raise InputError(_NOT_FINITE)
        return out

    def denoise(self, batch: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """`batch` without its noise; gaps stay as they are."""
        return batch - self.noise(batch)

    @property
    def home(self) -> Path:
        """The folder that workers load the model from; InputError where it came from none."""
        if self.folder is None:
            raise InputError(
                f"Model {self.name!r} was given as an object that comes from no folder, and workers load it from one. "
                "Save it, and give the folder."
            )
        return self.folder

    def to(self, device: str, precision: str = "float32") -> "Model":
        """The same model on a device ("cpu", "cuda", "mps") at a precision ("float32", "bfloat16")."""
        self.net.to(device)
        self.device, self.precision = device, precision
        return self

    def _autocast(self) -> Any:
        import torch

        return torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.precision == "bfloat16")

    def report(self) -> Any:
        """What a prior is worth, measured on held-out models beside principal components: see `geoae.latent.report`."""
        return import_module("geoae.latent.report").report(self)

    def save(self, folder: Path, card: str) -> None:
        """Write weights.safetensors, model.json and card.md.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        raw, sha = weights_file.content(self.net)
        self.digest = sha[:12]
        companions = self._companions()
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
        write_bytes(folder / WEIGHTS, raw)
        write_text(folder / CARD, json.dumps(facts, indent=2, sort_keys=True) + "\n")
        write_text(folder / README, card)
        if companions:
            write_bytes(folder / COMPANIONS, companions)

    def _companions(self) -> bytes:
        """Content of the file of arrays, whose digest the contract takes up."""
        if not isinstance(self.contract, PriorContract) or not self.companions:
            return b""
        from safetensors.numpy import save

        raw = save({k: np.ascontiguousarray(v) for k, v in self.companions.items()})
        self.contract = replace(self.contract, companions_sha256=hashlib.sha256(raw).hexdigest())
        return raw


@contextmanager
def one_thread() -> Iterator[None]:
    """Work on one thread of torch: sums that more threads share differ in their last digits with their number.

    The caller's setting is put back.
    """
    import torch

    callers = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(callers)


def _whole(work: Callable[[NDArray[Any]], NDArray[Any]], part: NDArray[Any], size: int) -> NDArray[Any]:
    """`work` on a part that is filled up to `size` windows: products of other shapes may round otherwise."""
    fill = np.repeat(part[-1:], size - len(part), axis=0)
    return work(np.concatenate([part, fill]) if len(fill) else part)[: len(part)]


_KEYS = {
    "format": int, "geoae": str, "net": str, "config": dict, "scaler": dict, "contract": dict, "weights_sha256": str
}  # fmt: skip
_SCALERS: dict[str, tuple[type[Scaler | FieldScaler | Transform], dict[str, type]]] = {
    "record": (Scaler, {"block": int, "floor": float}),
    "field": (FieldScaler, {"axes": int, "channels": int}),
    "codes": (FieldScaler, {"axes": int, "channels": int}),
    "prior": (
        Transform,
        {"kind": str, "offset": float, "gain": float, "low": float, "high": float, "knots": list, "scores": list},
    ),
}
_NOT_FINITE = "the net gave a value that is not finite; the input's values may lie too far apart"


def load(name_or_folder: str | Path | Model | None = None) -> Model:
    """Load a model by name (see `shipped`) or from its folder, checking everything it says of itself.

    Raises
    ------
    UnknownNameError
        No shipped model and no folder has that name.
    ModelFileError
        The folder is incomplete or damaged, holds an unknown key, or was written by a newer geoae; the
        differences are listed.
    """
    if isinstance(name_or_folder, Model):
        return name_or_folder
    folder = find(name_or_folder or DEFAULT)
    facts = _read_card(folder)
    raw = _bytes(folder / WEIGHTS)
    sha = hashlib.sha256(raw).hexdigest()
    if sha != facts["weights_sha256"]:
        raise ModelFileError(
            f"{folder / WEIGHTS} is damaged: its SHA-256 is {sha[:12]}..., model.json says "
            f"{facts['weights_sha256'][:12]}... Copy the model folder again."
        )
    try:
        net = nets.build(facts["net"], facts["config"])
    except GeoAEError as error:
        raise ModelFileError(f"{folder / CARD} does not describe a net: {error} A newer geoae may read it.") from error
    weights_file.fill(net, raw, folder / WEIGHTS, facts["net"])
    contract, scaler = contracts.from_json(facts["kind"], facts["contract"]), _SCALERS[facts["kind"]][0]
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in facts["scaler"].items()}
    found = Model(contract, facts["net"], facts["config"], net.eval(), scaler(**settings), sha[:12], folder=folder)
    if isinstance(contract, PriorContract) and contract.companions_sha256:
        found.companions = _read_companions(folder, contract.companions_sha256)
    return found


def _read_companions(folder: Path, wanted: str) -> dict[str, NDArray[Any]]:
    from safetensors.numpy import load as load_arrays

    raw = _bytes(folder / COMPANIONS)
    if (sha := hashlib.sha256(raw).hexdigest()) != wanted:
        raise ModelFileError(
            f"{folder / COMPANIONS} is damaged: its SHA-256 is {sha[:12]}..., model.json says {wanted[:12]}... Copy "
            "the model folder again."
        )
    return dict(load_arrays(raw))


def find(name_or_folder: str | Path) -> Path:
    """Folder of a shipped model or of one on disk."""
    for folder in (_SHIPPED / str(name_or_folder), Path(name_or_folder)):
        if (folder / CARD).is_file() or (folder / WEIGHTS).is_file():
            return folder
    known = ", ".join(shipped()) or "none"
    raise UnknownNameError(
        f"There is no model {str(name_or_folder)!r}: the shipped models are {known}; otherwise give the folder that "
        "`geoae train` wrote."
    )


def shipped() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(p.parent.name for p in _SHIPPED.glob(f"*/{CARD}"))


def describe(name_or_folder: str | Path) -> dict[str, Any]:
    """What model.json says, without loading weights or torch."""
    return _read_card(find(name_or_folder))


def identity(rate_hz: float = 100.0, window: int = 256, stride: int = 192, multiple: int = 1) -> Model:
    """The model that removes nothing; for checks of everything around a net."""
    contract = Contract("identity", "removes nothing", rate_hz, (1e-3, 1e6), window, stride, multiple)
    return Model(contract, "identity", {}, nets.build("identity", {}), Scaler())


def _read_card(folder: Path) -> dict[str, Any]:
    try:
        facts = json.loads(_bytes(folder / CARD))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{folder / CARD} is damaged: {error}. Copy the model folder again.") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("format"), int):
        raise ModelFileError(f"{folder / CARD} is not a geoae model: it has no format number.")
    if facts["format"] > FORMAT:  # before its keys are looked at: a newer format has others
        raise ModelFileError(
            f"{folder} has model format {facts['format']}, written by geoae {facts.get('geoae')}; geoae {__version__} "
            f"reads up to {FORMAT}. Install a newer geoae."
        )
    kind = facts.setdefault("kind", "record")  # models of records came first, and do not say so
    if not (faults := _faults(facts, {**_KEYS, "kind": str}, "")):
        if kind not in contracts.KINDS:
            faults = [f"kind is {kind!r} instead of one of {', '.join(contracts.KINDS)}"]
        else:
            faults = _faults(facts["scaler"], _SCALERS[kind][1], "scaler.")
            faults += _faults(facts["contract"], contracts.keys(kind), "contract.")
    if faults:
        raise ModelFileError(f"{folder / CARD} does not describe a model of format {FORMAT}: {'; '.join(faults)}.")
    return facts


def _faults(found: dict[str, Any], wanted: dict[str, type], where: str) -> list[str]:
    """What is missing, unknown, or of another type."""
    faults = [f"missing key {where}{k}" for k in sorted(wanted.keys() - found.keys())]
    faults += [f"unknown key {where}{k}" for k in sorted(found.keys() - wanted.keys())]
    for key in sorted(wanted.keys() & found.keys()):
        kinds = (int, float) if wanted[key] is float else wanted[key]
        if not isinstance(found[key], kinds) or isinstance(found[key], bool):
            faults.append(f"{where}{key} is {found[key]!r} instead of {wanted[key].__name__}")
    return faults


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelFileError(f"{path.parent} is no complete model folder: {path.name} is missing.") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.") from error

"""The contract of a denoiser of records: the input that it takes, as stored in model.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from geoae.errors import ModelFileError
from geoae.model.contract import OPTIONAL
from geoae.records.sigma import OCTAVES, SHARES

CALIBRATION = "calibration"
"""Key of the provenance with the numbers of mixtures and of stations on which sigma was calibrated."""
RATE_TOLERANCE = 1e-5
"""Relative tolerance of the limits of sampling rates: headers round rates, in single precision or to some digits."""


@dataclass(frozen=True)
class RecordContract:
    """Sampling rates and windows of records (component, time) that a denoiser takes."""

    kind: ClassVar[str] = "record"
    name: str
    summary: str
    rate_hz: float
    """Sampling rate of the net; records at other rates are resampled to it and back."""
    rate_range_hz: tuple[float, float]
    """Records with rates outside this range are not denoised; see `takes_rate`."""
    window: int
    """Samples in one window, at `rate_hz`."""
    stride: int
    multiple: int
    """Windows of shorter records are padded to a multiple of this number of samples."""
    components: int = 3
    partner: str = field(default="", metadata=OPTIONAL)
    """Shipped model of long periods that works beside this one on records that are long enough, see
    `geoae.records.periods`; empty: none."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Training data with digests and licences, recipe, scores, and the command that trained the model."""
    sigma_factor: float = field(default=1.0, metadata=OPTIONAL)
    """Factor of standard errors, by which they hold on held-out stations; see `geoae.records.calibrate`."""
    sigma_weights: tuple[tuple[float, ...], ...] = field(default=(), metadata=OPTIONAL)
    """Weights of the power in standard errors, see `geoae.records.sigma_weights`; empty: those of a Wiener filter."""
    periods_s: tuple[float, ...] = field(default=(), metadata=OPTIONAL)
    """Shortest and longest dominant period of the training events; empty: unknown. See `geoae.records.doubt`."""
    purposes: dict[str, float] = field(default_factory=dict, metadata=OPTIONAL)
    """Name of a purpose -> share of the removed noise that is kept for it; see `geoae.records.purposes`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigma_weights", tuple(map(tuple, self.sigma_weights)))  # lists, from JSON
        sizes = [len(row) for row in self.sigma_weights]
        if sizes not in ([], [len(SHARES)] * len(OCTAVES)):
            raise ModelFileError(
                f"sigma_weights of model {self.name!r} are {len(sizes)} rows of {sorted(set(sizes))} numbers; expected "
                f"{len(OCTAVES)} rows of {len(SHARES)}, or none."
            )
        for name, share in self.purposes.items():
            if isinstance(share, bool) or not isinstance(share, int | float) or not -1 <= share <= 1:
                raise ModelFileError(
                    f"The purpose {name!r} of model {self.name!r} keeps {share!r} of the noise; it has to be a number "
                    "from -1 to 1."
                )

    @property
    def has_calibrated_sigma(self) -> bool:
        """Whether `sigma_factor` was found on mixtures. Of a model that does not tell, a factor other than 1 was."""
        return self.sigma_factor != 1.0 or CALIBRATION in self.provenance

    def takes_rate(self, rate_hz: float) -> bool:
        """Whether a rate lies within `rate_range_hz`, up to the rounding of rates in headers."""
        low, high = self.rate_range_hz
        return low * (1 - RATE_TOLERANCE) <= rate_hz <= high * (1 + RATE_TOLERANCE)


def format_rates(contract: Mapping[str, Any]) -> tuple[str, str]:
    """Sampling rate of the net and range of rates that it takes, both in Hz, as text for a table of models."""
    partner = contract.get("partner", "")
    beside = f" (+ {partner})" if partner else ""
    return f"{contract['rate_hz']:g}", "{:g}-{:g}".format(*contract["rate_range_hz"]) + beside

"""The recipe of a denoiser of records."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from geoae.training.recipe import AnyRecipe, LoopSection, Section, SplitSection


class RecordWindow(Section):
    """Windows of the net, in samples at the model's rate."""

    length: int = Field(gt=0)
    """Window of inference; neighbouring windows overlap by length - stride."""
    stride: int = Field(gt=0)
    train_length: int = Field(ge=128)
    """Window of training, at least the longest frame of the loss. The nets are convolutional: it may be shorter."""
    multiple: int = Field(32, gt=0)
    """Windows of shorter records are padded to a multiple of this number of samples."""

    @model_validator(mode="after")
    def _check_stride(self) -> Self:
        if self.stride > self.length:
            raise ValueError(f"stride {self.stride} is longer than length {self.length}: samples would be skipped")
        return self


class RecordMix(Section):
    """How training windows are made; the fractions are probabilities for one window."""

    snr_db: tuple[float, float] = (-12.0, 25.0)
    """Range of the SNR: 10 log10 of signal power over noise power, in the 20 s from the P onset."""
    noise_only: float = Field(0.06, ge=0, le=1)
    clean_only: float = Field(0.05, ge=0, le=1)
    several_events: float = Field(0.25, ge=0, le=1)
    synthetic_events: float = Field(0.2, ge=0, le=1)
    time_stretch: float = Field(0.5, ge=0, le=1)
    distant: float = Field(0.06, ge=0, le=1)
    """Events stretched 2 to 8 times in time, to the slow and long shape of distant events."""
    response: float = Field(0.5, ge=0, le=1)
    band_pass: float = Field(0.5, ge=0, le=1)
    synthetic_noise: float = Field(0.2, ge=0, le=1)
    noise_pile_up: float = Field(0.2, ge=0, le=1)
    machinery: float = Field(0.1, ge=0, le=1)
    gusts: float = Field(0.2, ge=0, le=1)
    """Noise whose level varies within the window, like wind."""
    footsteps: float = Field(0.03, ge=0, le=1)
    spikes: float = Field(0.08, ge=0, le=1)
    steps: float = Field(0.04, ge=0, le=1)
    gaps: float = Field(0.1, ge=0, le=1)
    quantised: float = Field(0.05, ge=0, le=1)
    low_rate: float = Field(0.12, ge=0, le=1)
    missing_component: float = Field(0.2, ge=0, le=1)
    short_record: float = Field(0.0, ge=0, le=1)
    """At long periods: windows of which only a part was recorded."""
    periods: Literal["short", "long"] = "short"
    """long: `geoae.records.long_mixing` makes the windows, with synthetic teleseisms and noise of long periods."""
    min_event_snr_db: float = 15.0
    """Events with a lower SNR are not used: their noise would be learnt as signal."""

    @model_validator(mode="after")
    def _check_snr_range(self) -> Self:
        if self.snr_db[0] > self.snr_db[1]:
            raise ValueError(f"snr_db {list(self.snr_db)} must go from low to high")
        return self


class RecordOptimize(LoopSection):
    """The training loop, and the weights of the loss."""

    spectral_weight: float = Field(5.0, ge=0)
    """Weight of the error of short-time spectra in `denoising_loss`; the first term is an error in dB."""
    onset_weight: float = Field(0.0, ge=0)
    """Weight of the error of short-time spectra around onsets."""
    energy_weight: float = Field(0.0, ge=0)
    """Weight of the error of the logarithm of power in octave bands: bursts in quiet parts, and lost signals."""
    energy_bend: float = Field(1.0, gt=0)
    """Decades beyond which the error of the logarithm of power grows linearly; a small one lets the net decide between
    signal and noise, where it would give the mean of both."""
    peak_weight: float = Field(0.0, ge=0)
    """Weight of the error of the logarithm of the largest power."""
    floor: float = Field(0.0, ge=0, lt=1)
    """Share of the noise in the target; for a net with a floor in training (octave-dae), its `leak`."""


class RecordRecipe(AnyRecipe):
    """One complete training of a denoiser of records."""

    start: str = ""
    """Shipped model, or folder of a model with the same net, whose weights are the start; empty: random weights."""
    rate_hz: float = Field(100.0, gt=0)
    """Sampling rate of the net; training data are resampled to it."""
    rate_range_hz: tuple[float, float] = (8.0, 1000.0)
    """Records with rates outside this range are not denoised."""
    partner: str = ""
    """Shipped model of long periods that works beside this one; empty: none."""
    purposes: dict[str, Annotated[float, Field(ge=-1, le=1)]] = Field(default_factory=dict)
    """Name of a purpose -> share of the removed noise that is kept for it; see `geoae.records.purposes`."""
    window: RecordWindow
    mix: RecordMix = RecordMix()
    split: SplitSection = SplitSection()
    optimize: RecordOptimize

    @model_validator(mode="after")
    def _check_rate(self) -> Self:
        if not self.rate_range_hz[0] <= self.rate_hz <= self.rate_range_hz[1]:
            raise ValueError(f"rate_hz {self.rate_hz:g} must lie in rate_range_hz {list(self.rate_range_hz)}")
        return self

"""Training of a denoiser of records: windows of events in noise, loss, and validation score."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from geoae.nets.protocols import Loss
from geoae.readers.records.seisbench import open_set
from geoae.records.contract import RecordContract
from geoae.records.long_mixing import LongMixer, open_long_pools
from geoae.records.losses import LossWeights, denoising_loss, quantile_error, sum_terms
from geoae.records.metrics import si_sdr_db
from geoae.records.mixing import RecordMixer, open_pools
from geoae.records.recipe import RecordMix, RecordRecipe
from geoae.records.scaling import RecordScaler
from geoae.training.loop import Predict, TrainingTask, make_weight_loader

_NO_DAMAGE = ("snr_db", "min_event_snr_db", "periods")  # keys of a mix that are no probabilities
METRIC = "si_sdr_improvement_db"
"""Name of the validation score in provenance, without ``validation_``."""


def training_task(recipe: RecordRecipe, data: Path) -> TrainingTask:
    """Training task with the events of ``data/events`` in the noise of ``data/noise``.

    Raises
    ------
    InputError
        There are no events or no noise.
    """
    o = recipe.optimize
    training, validation = build_record_mixers(recipe, data)

    weights = LossWeights(o.spectral_weight, o.onset_weight, o.energy_weight, o.peak_weight, o.energy_bend)

    def loss(output: Tensor, parts: tuple[Tensor, ...]) -> Loss:
        noisy, signal, valid = parts
        present, n = valid.any(-1), noisy.shape[1]
        # the net also gives the logarithm of its error if it has more channels than its input
        estimate, log_error = output[:, :n], output[:, n:]
        target = signal + o.floor * (noisy - signal)
        found = denoising_loss(estimate * valid, target * valid, noisy, present, weights)
        if not log_error.shape[1]:
            return found
        error = sum_terms({"sigma": quantile_error(log_error, estimate.detach(), signal, valid)}, present)
        return Loss(found.total + error.total, found.terms | error.terms)

    def contract(provenance: dict[str, Any]) -> RecordContract:
        w = recipe.window
        return RecordContract(recipe.name, recipe.summary, recipe.rate_hz, recipe.rate_range_hz, w.length, w.stride,
                        w.multiple, partner=recipe.partner, purposes=recipe.purposes,
                        provenance=provenance)  # fmt: skip

    return TrainingTask(
        training, loss, lambda net: validate_records(net, validation, recipe.split.n_windows), contract, RecordScaler(),
        METRIC,
        make_weight_loader(recipe.start),
    )  # fmt: skip


def build_record_mixers(recipe: RecordRecipe, data: Path) -> tuple[RecordMixer, RecordMixer]:
    """Mixers of training windows, with damage as in the recipe, and of undamaged windows of the validation stations."""
    events, noise = open_set(data / "events"), open_set(data / "noise")
    no_damage = {k: 0.0 for k in RecordMix.model_fields if k not in _NO_DAMAGE}
    plain = recipe.mix.model_copy(update={**no_damage, "snr_db": (-10.0, 15.0)})
    mixers = []
    for mix, validation, seed in ((recipe.mix, False, 0), (plain, True, 1)):
        open_both, mixer = (open_long_pools, LongMixer) if mix.periods == "long" else (open_pools, RecordMixer)
        pools = open_both(events, noise, recipe.split, recipe.mix, recipe.rate_hz, validation)
        mixers.append(mixer(*pools, mix, recipe.window.train_length, RecordScaler(), recipe.optimize.seed + seed))
    return mixers[0], mixers[1]


def validate_records(net: Predict, mixer: RecordMixer, n: int, batch: int = 20) -> float:
    """Median SI-SDR improvement in dB over the recorded components of the first `n` mixtures."""
    gains: list[float] = []
    for start in range(0, n, batch):
        noisy, target, valid = (
            np.stack(x) for x in zip(*(mixer[i] for i in range(start, min(start + batch, n))), strict=True)
        )
        gain = si_sdr_db(target, net(noisy)) - si_sdr_db(target, noisy)
        gains.extend(gain[valid.any(-1) & (np.abs(target).max(-1) > 0)])
    return float(np.median(gains))

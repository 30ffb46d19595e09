"""geoae.fit: learn a prior with few codes from models in memory, in a file, or in one large image."""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae.arrays.numbers import read_reals
from geoae.arrays.transforms import Transform
from geoae.arrays.types import Array
from geoae.errors import InputError
from geoae.model import devices, require_role
from geoae.priors import data as prior_data
from geoae.priors.data import PriorModels
from geoae.priors.options import FitOptions
from geoae.priors.pca import pca_model
from geoae.priors.prior import Prior
from geoae.priors.recipe import PriorRecipe

N_HELD_OUT = 200
Report = Callable[[dict[str, Any]], None]


def fit(
    models: Any,
    latent: int | None = None,
    *,
    transform: str | dict[str, Any] | Transform = "affine",
    likelihood: str = "auto",
    net: str = "vae",
    shape: Sequence[int] | None = None,
    exclude: Sequence[Sequence[int]] = (),
    mirror: Sequence[int] = (),
    hold_out: float = 0.1,
    groups: Any = None,
    block: float = 10.0,
    sensitivity: Array | None = None,
    data_weight: float = 1.0,
    beta: float = 1.0,
    free_bits: float = 0.0,
    noise: float = 0.05,
    steps: int | None = None,
    batch: int = 64,
    patience: int = 8,
    config: dict[str, Any] | None = None,
    units: str | None = None,
    name: str = "prior",
    seed: int = 0,
    out: str | Path | None = None,
    device: str = "cpu",
    threads: int | None = None,
    report: Report = lambda row: None,
) -> Prior:
    """Learn a prior: compress models into a few codes that are N(0, I). The same seed gives the same prior.

    Parameters
    ----------
    models
        Arrays (n, *cells) in physical units, of numpy or xarray (the first dimension counts models), with NaN where
        cells are missing; or "FILE:NAME" of an array in an npz file, a netCDF file or a zarr store; or, with `shape`,
        one large image from which models are cut at random.
    latent
        Length of a code; None: 20, or half the number of training models if these are fewer than 40.
    transform
        "affine", "log", "logit", "normal-score", or a dict with settings: see `geoae.arrays.transforms.fit_transform`.
    likelihood
        "gaussian", with a standard deviation of `noise` in units of the models' own; "learned", with one for each cell;
        "bernoulli", for two facies. "auto": bernoulli if the models have two values only.
    net
        "vae", or "pca", principal components.
    shape
        Shape of the models that are cut from an image.
    exclude
        First corners (row, column) of parts of the image that no model may overlap, such as test cases.
    mirror
        Axes along which a reversed model is as likely as the model itself. Training reverses half of the models.
    hold_out
        Fraction of the groups, or of the width of the image, that is left out of training. Of few models, more are left
        out: 8, which an inversion needs, if that leaves half of the models, and more models than codes, for training.
    groups
        (n,) labels, or (n, k) coordinates that are divided into blocks of size `block`. A group is either all in
        training or all held out. None: groups are runs of neighbouring models.
    sensitivity
        (data, cells): derivative of data by model, divided by the data's sigma; then
        differences that change the data count with the weight `data_weight`.
    beta, free_bits
        Weight of the KL term; nats per code below which the KL term is ignored.
    steps, batch, patience
        Training ends after `steps`, or earlier, `patience` validations after the best one; `batch` models in a step.
    config
        Further settings of the net. {"couplings": 6} adds coupling layers that make white codes N(0, I).
    units
        Units of the values; None: the attribute "units" of a DataArray.
    name, seed
        Name of the prior; random seed.
    out
        Model folder, with its checkpoint: the same call resumes an interrupted training.
    device, threads, report
        Device; CPU threads; function that is called with each row of the history.

    Returns
    -------
    Prior
        For `geoae.LatentSpace`; its method ``report`` scores it on held-out models.

    Raises
    ------
    InputError
        There are fewer models than codes, all have the same value, values lie outside the domain of the transform,
        models have more than two dimensions, no group can be held out, or the folder has the checkpoint of other
        models or settings.
    """
    options = FitOptions(
        latent=latent, transform=transform, likelihood=likelihood, net=net,
        shape=None if shape is None else tuple(shape), exclude=tuple(tuple(corner) for corner in exclude),
        mirror=tuple(mirror), hold_out=hold_out, block=block, data_weight=data_weight, beta=beta, free_bits=free_bits,
        noise=noise, steps=steps, batch=batch, patience=patience, config=config, units=units, name=name, seed=seed,
        device=device, threads=threads,
    )  # fmt: skip
    return fit_prior(models, options, groups, sensitivity, out, report)


def fit_prior(
    models: Any,
    options: FitOptions,
    groups: Any = None,
    sensitivity: Array | None = None,
    out: str | Path | None = None,
    report: Report = lambda row: None,
) -> Prior:
    """As `fit`, with an options object."""
    o = options
    values, units = _load_values(models, o.units)
    if o.shape is not None:
        data = prior_data.cut_models(values, o.shape, o.exclude, o.hold_out, N_HELD_OUT, o.seed, o.mirror)
    else:
        data = _split_models(values, groups, o)
    latent = o.choose_latent(data)
    if o.net == "pca":
        made = pca_model(data.sample, latent, transform=o.transform, held_out=data.held_out, units=units)
    else:
        # part of the recipe, so that a checkpoint of other models is not resumed
        source = f"memory:{_fingerprint(values, data.held_out, sensitivity, data.division, o.transform)}"
        made = _train(o.make_recipe(data, source, units, sensitivity is not None), data, o, sensitivity, out, report)
    if out is not None:
        made.save(Path(out), f"# {made.name}\n\n{made.contract.summary}\n")
    return made


def _train(
    recipe: PriorRecipe,
    data: PriorModels,
    options: FitOptions,
    sensitivity: Array | None,
    out: str | Path | None,
    report: Report,
) -> Prior:
    from geoae.priors.task import make_prior_task
    from geoae.training.loop import Job, train_net

    device = devices.choose_device(options.device)
    ready = options.transform if isinstance(options.transform, Transform) else None
    task = make_prior_task(recipe, data, sensitivity, ready)
    threads = options.threads or min(devices.count_cores(), devices.MAX_THREADS)
    with ExitStack() as stack:
        folder = Path(out) if out is not None else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        return require_role(train_net(recipe, task, Job(folder, device, threads, report=report)), Prior)


def _load_values(models: Any, units: str | None) -> tuple[Array, str]:
    if isinstance(models, str | Path):
        path, _, key = str(models).rpartition(":")
        if not path:
            raise InputError(f"{str(models)!r} names no array; give FILE:NAME, such as 'profiles.npz:vs'.")
        models = prior_data.read_array(Path(path).parent, f"{Path(path).name}:{key}")
    if isinstance(models, xr.Dataset):
        raise InputError(
            f"fit takes one variable: fit(data['NAME'], ...), one of {', '.join(map(str, models.data_vars))}."
        )
    if units is None:
        units = str(models.attrs.get("units", "")) if isinstance(models, xr.DataArray) else ""
    try:
        np.shape(models)
    except ValueError as error:
        raise InputError(
            "The models differ in shape; bring them to one grid first, with NaN in missing cells."
        ) from error
    try:
        values = read_reals(models, "The models are")
    except InputError as error:
        raise InputError(
            f"{str(error).rstrip('.')}; expected numbers in an array (n, *cells), all of one shape."
        ) from error
    if np.isinf(values).any():
        raise InputError(f"The models hold {int(np.isinf(values).sum())} infinite values; mask them as NaN.")
    return values.astype(np.float32 if values.dtype.itemsize <= 4 else np.float64), units


def _split_models(values: Array, groups: Any, options: FitOptions) -> PriorModels:
    if values.ndim not in (2, 3):
        raise InputError(
            f"The models have shape {values.shape}; expected (n, cells) or (n, rows, columns). One large image to be "
            "cut needs shape=(rows, columns)."
        )
    empty = np.asarray(np.isnan(values).reshape(len(values), -1).all(1))
    values = values[~empty]
    if groups is not None and np.shape(groups)[:1] != empty.shape:
        raise InputError(
            f"groups have shape {np.shape(groups)}; expected one label for each of the {len(empty)} models."
        )
    labels = None if groups is None else np.asarray(groups)[~empty]
    if labels is not None and labels.ndim == 2:
        labels = prior_data.label_blocks(list(labels.T), options.block)
    latent = options.latent or 0
    if len(values) <= latent:
        raise InputError(
            f"{len(values)} models are too few for {latent} codes: give more models than codes, or a smaller latent."
        )
    if np.nanmax(values) == np.nanmin(values):
        raise InputError(
            f"All models have the same value, {float(np.nanmin(values)):g}, everywhere: there is nothing to learn. "
            "Give models that differ."
        )
    fewest = prior_data.FEWEST_HELD_OUT, max(-(-len(values) // 2), latent + 1)
    return prior_data.divide_models(values, labels, options.hold_out, N_HELD_OUT, options.seed, options.mirror, fewest)


def _fingerprint(*values: Any) -> str:
    """12 hex digits that depend on arrays and settings."""
    found = hashlib.sha256()
    for value in values:
        array = isinstance(value, np.ndarray)
        found.update(np.ascontiguousarray(value).tobytes() if array else repr(value).encode())
    return found.hexdigest()[:12]

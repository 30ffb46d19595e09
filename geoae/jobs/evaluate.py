"""Score a model beside what a user would pick instead."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae import catalog, infer
from geoae.devices import prepare
from geoae.errors import InputError, OutputExistsError
from geoae.evaluation import compare, table
from geoae.files.whole import output_errors, whole_file, write_text
from geoae.model import Model, load

FILES = ("results.json", "results.md", "results.png")


def evaluate(
    data: str | Path,
    model: str | Path | Model = "seismic",
    out: Path | None = None,
    *,
    n: int = 160,
    stations: str = "validation",
    seed: int = 20251121,
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> str:
    """Mix recorded events and noise of `data`, denoise, compare; returns a table in Markdown.

    `out` is a folder that takes results.json, results.md and results.png.

    Raises
    ------
    GeoAEError
        The data or the model cannot be used, or results are there already.
    """
    if stations not in ("validation", "train", "all"):
        raise InputError(f"stations is {stations!r}; choose validation, train or all.")
    if n < 1:
        raise InputError(f"{n} mixtures were asked for; at least 1 is needed.")
    if out is not None and not overwrite:
        for name in FILES:
            if (out / name).exists():
                raise OutputExistsError(
                    f"{out / name} is there already; choose another folder, or ask for --overwrite."
                )
    folder = catalog.locate(data)
    loaded = prepare(load(model), device, threads)
    modulus = validation_modulus(loaded)
    results = compare(
        denoiser(loaded), folder, n=n, seed=seed, stations=stations, validation_modulus=modulus, report=report
    )
    results["model"] = {"name": loaded.name, "digest": loaded.digest}
    text = table(results)
    if out is not None:
        _write(out, results, text)
    return text


def denoiser(model: Model) -> Callable[[NDArray[np.floating[Any]]], NDArray[np.floating[Any]]]:
    """(n, 3, samples) at 100 Hz -> the same, denoised: what `compare` asks of every method."""

    def run(x: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        out = np.empty_like(x)
        for i, trace in enumerate(x):
            noise = infer.noise_reader(lambda a, b, t=trace: t[:, a:b], x.shape[-1], (0, 1, 2), 100.0, model)  # type: ignore[misc]
            out[i] = trace - noise(0, x.shape[-1])
        return out

    return run


def validation_modulus(model: Model) -> int:
    """Which share of the stations the training left out, so that none that the model saw is scored as unseen."""
    split = model.contract.provenance.get("recipe", {}).get("split", {"modulus": 4, "remainder": 0})
    if split["remainder"]:
        raise InputError(
            f"Model {model.name!r} was trained with split.remainder {split['remainder']}; only models trained with 0 "
            "can be scored."
        )
    return int(split["modulus"])


def _write(out: Path, results: dict[str, Any], text: str) -> None:
    from geoae.plot import plot_evaluation

    with output_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    write_text(out / FILES[0], json.dumps(results, indent=1) + "\n")
    write_text(out / FILES[1], text)
    with whole_file(out / FILES[2]) as part:
        plot_evaluation(results).savefig(part)

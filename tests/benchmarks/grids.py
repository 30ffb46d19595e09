"""How well fields are cleaned, their forced signal found, and fields kept in few numbers, beside what else there is.

Noise and clouds are put on clean fields, 96 cells of them. The error is that of the pixels that are no gaps, against
clean, in units of the standard deviation of the clean slice: doing nothing scores the level of the noise. Baselines
are tuned by an oracle for each cell; ours gets the field through `geoae.denoise` and no hint. Exit code 0: ours is best
in 90 % of the cells; 1: in less; 2: data, model or a package is missing.
"""

import argparse
import fnmatch
import importlib
import importlib.util
import json
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import grids_codes
import grids_forced
import numpy as np
import xarray as xr
from grids_cells import ERA, HELD_OUT, MEMBER, Cell, all_cells
from grids_methods import METHODS
from grids_scores import Cache, Denoise, WrongResultError, baselines, clean_slices, key, ours, progress, summary, table

GOAL = 0.9
IMPORTED_AS = {"scikit-image": "skimage", "PyWavelets": "pywt", "bm3d": "bm3d"}
PARTS = ("cells", "forced", "codes")


def denoise(field: xr.DataArray, model: Any) -> xr.DataArray:
    """Denoise a field with the package."""
    import geoae

    return geoae.denoise(field, model=model, device="cpu", threads=1)


def there_and_back(field: xr.DataArray, model: str) -> tuple[int, xr.DataArray]:
    """Number of numbers in the code of a field, and the field decoded from it."""
    import geoae

    codes = geoae.encode(field, model=model)
    return codes["code"].size, geoae.decode(codes, model=model)


def main() -> int:
    args = _arguments()
    cells = [c for c in all_cells() if any(fnmatch.fnmatchcase(c.key, p) for p in args.cells)]
    warnings.filterwarnings("ignore", message=".*non-conforming '_FillValue'")  # of ERA-Interim as it is distributed
    warnings.filterwarnings("ignore", message="Mean of empty slice")  # a pixel under clouds in all years of a window
    problem = _problem(args, cells)
    if problem is None:
        try:
            return _run(args, cells)
        except Exception as error:
            known = importlib.import_module("geoae.errors").GeoAEError if "geoae" in sys.modules else WrongResultError
            if not isinstance(error, known | WrongResultError):
                raise
            problem = str(error)
    print(f"grids.py: {problem}", file=sys.stderr)
    return 2


def _run(args: argparse.Namespace, cells: list[Cell]) -> int:
    report: dict[str, Any] = {}
    won = None
    if "cells" in args.parts:
        mine = _ours(args)
        store = Cache(args.baselines_cache)
        scores = baselines(args.data, cells, args.baselines, store, compute=not args.cached)
        if mine is not None:
            for cell, score in ours(args.data, cells, mine, args.whole).items():
                scores[cell]["ours"] = score
        names = [n for n in args.baselines if any(n in row for row in scores.values())]
        said, won = summary(cells, scores)
        print(table(cells, scores, names + ["ours"] * (mine is not None)), said, sep="\n\n")
        report["cells"] = scores
        if args.figure is not None:
            from grids_figure import draw

            for line in draw(args.figure, args.data, scores, mine, args.whole):
                progress(line)
    if "forced" in args.parts:
        model = None if args.forced_model is None else partial(denoise, model=args.forced_model)
        report["forced"] = grids_forced.forced(args.data, model)
        print("", grids_forced.table(report["forced"]), sep="\n")
    if "codes" in args.parts:
        models = [(f"ours, {Path(m).name}", partial(there_and_back, model=m)) for m in args.codes_model]
        report["codes"] = grids_codes.codes(args.data, models)
        print("", grids_codes.table(report["codes"]), sep="\n")
    if args.json is not None:
        args.json.write_text(json.dumps(report, indent=1))
    return int(won is not None and won < GOAL)


def _ours(args: argparse.Namespace) -> Denoise | None:
    if args.baselines_only:
        return None
    if args.function is not None:
        module, _, name = args.function.partition(":")
        sys.path.insert(0, str(Path.cwd()))
        return getattr(importlib.import_module(module), name)
    if args.model is None:
        return partial(denoise, model=None)
    from geoae.model import load_model

    return partial(denoise, model=load_model(args.model))


def _problem(args: argparse.Namespace, cells: Sequence[Cell]) -> str | None:
    for name in (ERA, MEMBER.format(HELD_OUT)):
        if not (args.data / name).exists():
            return f"--data {args.data} holds no {name}; it needs the folder with ERA-Interim and the climate members."
    if not cells:
        return f"no cell fits --cells {' '.join(args.cells)}; they are called {all_cells()[0].key}, with * for any."
    if unknown := sorted(set(args.baselines) - METHODS.keys()):
        return f"there is no baseline {', '.join(unknown)}; there are {', '.join(METHODS)}."
    if "cells" not in args.parts or args.cached:
        return None
    store = Cache(args.baselines_cache)
    for name in args.baselines:
        method = METHODS[name]
        if all(key(name, c, clean_slices(args.data, c.variable)) in store.entries for c in cells if method.fits(c)):
            continue
        if absent := [p for p in method.needs if importlib.util.find_spec(IMPORTED_AS[p]) is None]:
            return f"{method.title} needs a package that is not there: pip install {' '.join(absent)}"
        if "bm3d" in method.needs and not hasattr(np, "trapz"):
            return f"bm3d needs an older numpy than {np.__version__}: pip install 'numpy<2.4'"
    return None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with eraint_uvz.nc and TREFHT.B06.*.nc")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all three")
    parser.add_argument("--cells", nargs="+", default=["*"], help="such as 'u/*' or '*/white/0.3/clouds'")
    parser.add_argument("--baselines", nargs="+", default=list(METHODS), help=f"of {', '.join(METHODS)}")
    parser.add_argument("--baselines-cache", type=Path, help="JSON file of their scores, which are not computed again")
    parser.add_argument("--cached", action="store_true", help="compute no baseline, show those in the file")
    parser.add_argument("--model", help="name or folder; default: the default model of geoae.denoise for fields")
    parser.add_argument("--function", help="MODULE:NAME in place of a model: DataArray -> DataArray")
    parser.add_argument("--baselines-only", action="store_true", help="no model")
    parser.add_argument("--whole", action="store_true", help="denoise all slices of a variable at once")
    parser.add_argument("--forced-model", help="folder of a model for the forced signal; it denoises all years at once")
    parser.add_argument("--codes-model", nargs="+", default=[], help="folders of autoencoders, one for each ratio")
    parser.add_argument("--json", type=Path, help="write all scores to this file")
    parser.add_argument("--figure", type=Path, help="draw one example of each noise to this file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

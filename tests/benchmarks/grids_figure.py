"""Figure with one example of each kind of noise: clean, noisy, the three best baselines, and the model."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from grids_cells import Array, Cell
from grids_methods import METHODS, Case
from grids_scores import Denoise, Scores, clean_slices, our_estimate

EXAMPLES = (
    Cell("u", "white", 0.3, False),
    Cell("v", "red", 0.3, False),
    Cell("z", "striped", 0.3, True),
    Cell("TREFHT", "speckle", 0.3, False),
)
SHOWN = ("gaussian", "bm3d", "eof")


def draw(path: Path, folder: Path, scores: Scores, denoise: Denoise | None, whole: bool) -> list[str]:
    """Write the figure; returns messages about panels that could not be drawn and stay empty."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    missing = set()
    titles = ["clean", "noisy", *(METHODS[n].title for n in SHOWN), "ours"]
    figure, axes = plt.subplots(len(EXAMPLES), len(titles), figsize=(3.2 * len(titles), 1.9 * len(EXAMPLES)))
    for cell, line in zip(EXAMPLES, axes, strict=True):
        case = Case(cell, clean_slices(folder, cell.variable))
        panels: list[Callable[[], Array] | None] = [lambda c=case: c.clean[c.scored], lambda c=case: c.given]
        for name in SHOWN:
            score = scores.get(cell.key, {}).get(name)
            panels.append(
                None if score is None else lambda c=case, n=name, s=score: METHODS[n].apply(c, s["parameter"])
            )
        panels.append(None if denoise is None else lambda c=case: our_estimate(folder, c, denoise, whole))
        low, high = np.percentile(case.clean[case.scored][0], (0.5, 99.5))
        for title, panel, ax in zip(titles, panels, line, strict=True):
            ax.set(xticks=[], yticks=[], title=title)
            try:
                estimate = None if panel is None else panel()
            except ImportError as error:
                missing.add(f"no panel of {title}: {error}")
                estimate = None
            if estimate is None:
                ax.set_axis_off()
                continue
            seen = np.where(np.isnan(case.given), np.nan, estimate)[0] if title != "clean" else estimate[0]
            up = "upper" if cell.variable != "TREFHT" else "lower"  # latitudes descend in the one, ascend in the other
            ax.imshow(seen, vmin=low, vmax=high, cmap="RdYlBu_r", origin=up, aspect="auto", interpolation="nearest")
            ax.set_title(title if title == "clean" else f"{title}  {case.score(estimate):.3f}", fontsize=9)
        line[0].set_ylabel(f"{cell.variable}, {cell.kind}", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return sorted(missing)

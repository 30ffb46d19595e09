"""Help of the verbs in plain text: options in groups, and two examples. rich would double the time of --help."""

from typing import Any

import typer.core

GROUPS = {
    "Output": (
        "out",
        "format_name",
        "encoding",
        "noise_out",
        "sigma_out",
        "sigma",
        "sds",
        "plot",
        "card",
        "overwrite",
        "dry_run",
    ),
    "What is read": (
        "data",
        "ids",
        "start_time",
        "end_time",
        "var",
        "dims",
        "group",
        "stations",
        "n",
        "seed",
        "recordings",
    ),
    "Model": ("model", "highpass", "purpose", "dry", "keep_doubtful", "above_band", "force", "steps"),
    "Latent codes": ("codes", "codes_model", "latent"),
    "Machine": ("device", "threads", "batch_size", "cluster", "workers"),
    "Layout of a store": ("chunks", "shard", "append"),
    "Messages": ("quiet", "verbose", "help"),
}
"""Heading -> names of the parameters below it, in the order of the help."""
EXAMPLES = {
    "denoise": ("geoae denoise day.mseed", "geoae denoise sst.nc -o clean.zarr --workers 4"),
    "info": ("geoae info day.mseed", "geoae info sst.nc"),
    "models": ("geoae models", "geoae models MODELDIR"),
    "status": ("geoae status day.zarr", "geoae status clean/"),
    "train": (
        "geoae train recipes/seismic-dae.yml --data DIR -o MODELDIR",
        "geoae train recipes/grid-members.yml --data ENSEMBLE -o forced",
    ),
    "evaluate": ("geoae evaluate --data DIR", "geoae evaluate --data DIR --model MODELDIR -o SCORES"),
    "encode": ("geoae encode sst.nc -o codes.zarr --latent 16", "geoae encode day.mseed -o codes.zarr"),
    "decode": ("geoae decode codes.zarr -o back.zarr", "geoae decode codes.zarr -o back.zarr --var sst --overwrite"),
}
"""Verb -> commands that can be copied."""


class Verb(typer.core.TyperCommand):
    """A verb whose help has options in the groups of `GROUPS`, and its `EXAMPLES`."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options; called by `--help`."""
        rows: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            if parameter.param_type_name == "argument":
                name, text = record  # the name, and a type that says no more than the text
                rows.setdefault("Arguments", []).append((name.partition(" <")[0], text))
            else:
                rows.setdefault(find_group(parameter.name or ""), []).append(record)
        width = max((len(name) for group in rows.values() for name, _ in group), default=0)
        for heading in ("Arguments", *GROUPS, "Options"):
            if heading in rows:
                with formatter.section(heading):
                    # all groups have the same columns
                    formatter.write_dl([(name.ljust(width), text) for name, text in rows[heading]])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples; called by `--help`."""
        examples = EXAMPLES.get(self.name or "", ())
        if examples:
            formatter.write("\nExamples:\n" + "".join(f"  {line}\n" for line in examples))


def find_group(parameter: str) -> str:
    """Heading of the group of a parameter; "Options" if it is in none."""
    return next((heading for heading, names in GROUPS.items() if parameter in names), "Options")

"""Describe data sets and files for the card and the provenance of a model."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from geoae.readers.records.seisbench import SeisBenchSet
from geoae.training.recipe import SplitSection

Sections = tuple[list[str], list[str], str]
"""Lines about the training data, lines about what was held out, and the line about the score."""


def describe_data_set(data: SeisBenchSet) -> dict[str, Any]:
    """Digest, size, stations and licences of a data set in SeisBench format, or of a folder of such sets."""
    tables = [*data.folder.glob("metadata*.csv"), *data.folder.glob("*/metadata*.csv")]
    table = b"".join(p.read_bytes() for p in sorted(tables))
    licences = Counter(row.get("licence") or row.get("license") or "not stated" for row in data.rows)
    return {
        "metadata_sha256": hashlib.sha256(table).hexdigest(),
        "records": len(data),
        "stations": len({data.station(i) for i in range(len(data))}),
        "licences": dict(licences.most_common()),
    }


def list_data_sets(sets: dict[str, Any]) -> list[str]:
    """Lines about data sets in SeisBench format: size, digest, licences."""
    lines = []
    for side, facts in sets.items():
        lines += [f"{facts['records']} {side} records from {facts['stations']} stations "
                  f"(metadata SHA-256 {facts['metadata_sha256'][:12]}). Licences and sources:", ""]  # fmt: skip
        lines += [f"- {n} records: {licence}" for licence, n in facts["licences"].items()]
        lines += [""]
    return lines


def describe_split(split: SplitSection) -> str:
    """The rule that chooses the stations that were held out, in words."""
    return f"Stations with crc32(NET.STA) % {split.modulus} == {split.remainder} were not trained on"


def digest_files(paths: Iterable[Path]) -> dict[str, Any]:
    """Name and SHA-256 of each file, for provenance."""
    return {"files": {p.name: digest_file(p) for p in paths}}


def list_files(provenance: dict[str, Any]) -> list[str]:
    """Lines about the files in the provenance of a model."""
    return [f"- {name} (SHA-256 {sha[:12]})" for name, sha in provenance.get("data", {}).get("files", {}).items()]


def digest_file(path: Path) -> str:
    """SHA-256 of a file; for a zarr store, of the names and sizes of its files."""
    if path.is_dir():
        listed = sorted((str(f.relative_to(path)), f.stat().st_size) for f in path.rglob("*") if f.is_file())
        return hashlib.sha256(repr(listed).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()

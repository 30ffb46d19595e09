"""What a model's card says of data sets and files."""

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
    """Digest, size, sources and licences of a data set in the SeisBench form."""
    table = b"".join(p.read_bytes() for p in sorted(data.folder.glob("metadata*.csv")))
    licences = Counter(row.get("licence") or row.get("license") or "not stated" for row in data.rows)
    return {
        "metadata_sha256": hashlib.sha256(table).hexdigest(),
        "records": len(data),
        "stations": len({data.station(i) for i in range(len(data))}),
        "licences": dict(licences.most_common()),
    }


def list_data_sets(sets: dict[str, Any]) -> list[str]:
    """Lines on data sets in the SeisBench form: size, digest, licences."""
    lines = []
    for side, facts in sets.items():
        lines += [f"{facts['records']} {side} records from {facts['stations']} stations "
                  f"(metadata SHA-256 {facts['metadata_sha256'][:12]}). Licences and sources:", ""]  # fmt: skip
        lines += [f"- {n} records: {licence}" for licence, n in facts["licences"].items()]
        lines += [""]
    return lines


def describe_split(split: SplitSection) -> str:
    """Which stations were not trained on."""
    return f"Stations with crc32(NET.STA) % {split.modulus} == {split.remainder} were not trained on"


def digest_files(paths: Iterable[Path]) -> dict[str, Any]:
    """SHA-256 of files, by their names, for provenance."""
    return {"files": {p.name: digest_file(p) for p in paths}}


def list_files(p: dict[str, Any]) -> list[str]:
    """Lines on the files in a model's provenance."""
    return [f"- {name} (SHA-256 {sha[:12]})" for name, sha in p.get("data", {}).get("files", {}).items()]


def digest_file(path: Path) -> str:
    """SHA-256 of a file; of a zarr store, that of the names and sizes of its files."""
    if path.is_dir():
        listed = sorted((str(f.relative_to(path)), f.stat().st_size) for f in path.rglob("*") if f.is_file())
        return hashlib.sha256(repr(listed).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()

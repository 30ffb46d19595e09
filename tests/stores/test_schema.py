"""Names in stores are a format on disk, and are written in one place."""

import ast
from pathlib import Path

import geoae
from geoae.stores import schema

ON_DISK = {
    "geoae_fingerprint", "geoae_parts", "geoae_started", "geoae_version", "geoae_command", "geoae_source",
    "geoae_source_hash", "kind", "start_time", "geoae_model", "geoae_digest", "geoae_of", "geoae_window", "geoae_dims",
    "geoae_core", "geoae_lengths", "geoae_dtype", "geoae_attrs", "geoae_start", "geoae_rate_hz", "code", "latent",
    "component", "offset", "slope", "gain", "recon_error", "n_valid", "geoae_posterior", "method", "seed", "chains",
    "about", "distance", "predicted", "data", "noise", "noise_offset", "rest", "errors", "held_out_code",
    "decoded_data", "distances", "surprises", "measured", "missing", "missing_byte",
    "geoae_file_hashes", "geoae_flags", "flags", "sigma",
}  # fmt: skip
VALUES = {"record", "field", "codes", "decoded", "geoae_", "_index"}


def test_names_on_disk_never_change():
    """Stores of every version are read by these names; no two constants mean the same name."""
    names = [value for key, value in vars(schema).items() if key.isupper() and isinstance(value, str)]
    assert len(set(names)) == len(names)
    assert set(names) == ON_DISK | VALUES
    assert schema.WINDOW_DIMS == {1: ("window",), 2: ("window_y", "window_x")}
    assert {name: statistic.dtype for name, statistic in schema.STATISTICS.items()} == {
        "offset": "float64", "slope": "float64", "gain": "float64", "recon_error": "float32", "n_valid": "int32"
    }  # fmt: skip


def test_no_other_module_spells_an_attribute():
    """Strings that begin with the prefix are in the schema alone; a column of SeisBench data sets is no attribute."""
    package = Path(geoae.__file__).parent
    found = {
        (path.relative_to(package).as_posix(), node.value)
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(schema.PREFIX)
    }
    assert found == {("stores/schema.py", "geoae_"), ("readers/records/seisbench.py", "geoae_chunk")}

"""What a damaged file may cost, for every format that geoae writes, and for stores of records.

Promised for all of them: an array or an error of geoae, never another exception. Bytes that are missing, added or
repeated are told, or change no sample. One wrong byte costs at most the record (miniSEED) or the trace in which it
lies: no sample of another one is lost, moved or changed without a word. Q, with two files for a recording, is left out.

Told is what shows: a check value of STEIM or GSE2 that fails, a header that cannot be or that contradicts its
neighbours, counts that differ. Most formats have no check values. In them, another number among the samples, another
letter in an id, or another digit in the time of a whole trace cannot be known to be wrong. Stores have a check sum for
every chunk.
"""

import numpy as np
import pytest
from obspy import Stream

import geoae
from geoae.errors import GeoAEError
from geoae.jobs import inspect
from geoae.jobs.options import InferenceOptions
from geoae.readers.records import traces
from tests.conftest import tiny_model
from tests.support.denoising import denoise_files
from tests.support.recordings import trace

INTEGERS = ("GSE2", "GCF", "SLIST", "TSPAIR")
ONE_TRACE = ("SAC", "SACXY", "GCF")
N = 1000
RECORD = 512
FORMATS = ("MSEED-STEIM1", "MSEED-STEIM2", "MSEED-INT32", "MSEED-FLOAT64", "AH", "GCF", "GSE2", "SAC", "SACXY", "SEGY",
           "SH_ASC", "SLIST", "SU", "TSPAIR")  # fmt: skip


def write(path, name):
    """Write one or three traces, and return what `read` returns for the undamaged file."""
    format_name, _, encoding = name.partition("-")
    dtype = {"FLOAT64": "f8"}.get(encoding, "i4" if encoding or format_name in INTEGERS else "f4")
    channels = ("HHE",) if format_name in ONE_TRACE else ("HHE", "HHN", "HHZ")
    stream = Stream([trace(N, channel, seed=k, dtype=dtype) for k, channel in enumerate(channels)])
    options = {"SEGY": {"data_encoding": 5}, "MSEED": {"encoding": encoding, "reclen": RECORD}}.get(format_name, {})
    stream.write(str(path), format=format_name, **options)
    return read(path)


def read(path):
    """(id, start, samples) of all that comes back, and whether anything is told."""
    found = traces.scan(path)
    told = [*found.losses, *found.notes]
    samples = []
    for segment in found.segments:
        parts = [part for part in traces.decodable_parts(segment) if not part.text]
        told += ["undecodable"] * (sum(part.n for part in parts) < segment.n) + ["text"] * segment.text
        samples += [(part.id, part.start_ns, traces.fetch_samples(part, on_warning=told.append)) for part in parts]
    return samples, bool(told)


def differences(found, expected):
    """For each trace of the undamaged file, the number of its samples that are not where they were."""
    counts = []
    for number, (id_, start_ns, samples) in enumerate(expected):
        right = np.zeros(len(samples), bool)
        for other, (found_id, found_ns, values) in enumerate(found):
            first = round((found_ns - start_ns) / 1e7)
            # traces of formats without ids are told apart by their place in the file
            alike = len(expected) == len(found) and len({e[0] for e in expected}) < len(expected)
            if found_id != id_ or (alike and other != number) or abs(found_ns - start_ns - first * 1e7) > 0.3e7:
                continue
            a, b = max(first, 0), min(first + len(values), len(samples))
            if a < b:
                right[a:b] |= values[a - first : b - first] == samples[a:b]
        counts.append(int((~right).sum()))
    return counts


def damaged(content, rng, kind):
    """The content after one accident."""
    at, n = int(rng.integers(len(content))), int(rng.integers(1, 600))
    if kind == "header":  # the first bytes of a record or of the file
        at = int(rng.integers(len(content) // RECORD)) * RECORD + int(rng.integers(64))
    if kind in ("header", "byte"):
        return content[:at] + bytes([int(rng.integers(256))]) + content[at + 1 :]
    if kind == "cut":
        return content[:at]
    if kind == "missing":
        return content[:at] + content[at + n :]
    if kind == "repeated":
        return content[:at] + content[at : at + n] + content[at:]
    return content[:at] + rng.bytes(n) + content[at:]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.filterwarnings("ignore")
def test_damage_is_told_and_costs_nothing_else(tmp_path, name):
    """Each kind of accident several times."""
    path, rng = tmp_path / "x", np.random.default_rng(1)
    expected, is_told = write(path, name)
    assert not is_told
    content = path.read_bytes()
    for number in range(40 if name.startswith("MSEED") else 16):
        kind = ("header", "byte", "header", "byte", "cut", "missing", "repeated", "added")[number % 8]
        path.write_bytes(damaged(content, rng, kind))
        try:
            found, is_told = read(path)
            inspect.info(path)
        except GeoAEError:
            continue
        wrong = differences(found, expected)
        if kind not in ("header", "byte"):
            assert is_told or not any(wrong), (number, kind, wrong)
        elif not is_told:
            assert sum(count > 0 for count in wrong) <= 1, (number, kind, wrong)
        if name.startswith("MSEED") and kind in ("header", "byte"):
            assert max(wrong) <= RECORD, (number, kind, wrong)


@pytest.mark.filterwarnings("ignore")
def test_no_wrong_sample_comes_from_a_damaged_store(tmp_path):
    """A damaged store is an error of geoae, or every sample and label is right."""
    source, store, rng = tmp_path / "x.mseed", tmp_path / "x.zarr", np.random.default_rng(2)
    Stream([trace(3000, channel, dtype="f4") for channel in ("HHE", "HHN")]).write(str(source), format="MSEED")
    denoise_files([source], store, InferenceOptions(tiny_model(), threads=1))
    expected = geoae.read(store)
    expected = expected[0] if isinstance(expected, list) else expected
    samples = expected.values
    files = [path for path in sorted(store.rglob("*")) if path.is_file()]
    n_refused = 0
    for number in range(45):
        path = files[number % len(files)]
        content = path.read_bytes()
        kind = ("byte", "cut", "missing", "repeated", "gone")[number // len(files) % 5]
        path.unlink() if kind == "gone" else path.write_bytes(damaged(content, rng, kind))
        try:
            inspect.info(store)
            found = geoae.read(store)
            found = found[0] if isinstance(found, list) else found
            np.testing.assert_array_equal(found.values, samples)
            assert list(found["id"].values) == list(expected["id"].values)
            assert found["time"].values[0] == expected["time"].values[0]
        except GeoAEError:
            n_refused += 1
        path.write_bytes(content)
    assert n_refused > 15

"""Every recording that ObsPy ships comes back as it was, or a line says why not; other files are refused in one line.

The recordings are those of ObsPy's own tests, in some thirty formats. What is not denoised or not written stands in the
tables below with its reason. A file that ObsPy cannot open must end in an error of geoae.
"""

import re
import warnings
from pathlib import Path

import numpy as np
import obspy
import pytest
from obspy import Stream

from geoae.errors import GeoAEError
from geoae.jobs.options import InferenceOptions
from tests.conftest import tiny_model
from tests.support.denoising import denoise_files

ROOT = Path(obspy.__file__).parent
FILES = sorted(path for path in ROOT.glob("**/tests/data/**/*") if path.is_file())
N_PARTS = 8
MODEL = tiny_model()
SHIFT_S = 1e-6
"""Times come back to what the formats hold."""

# what a trace with a problem says; it is copied unchanged
PASSED_ON = (
    r"sampled at [\d.]+ Hz; model 'tiny' takes 8 to 1000 Hz|dead, all samples are|samples? (are too few to tell|only)"
)
NO_ROOM = "miniSEED has room for"
TEXT = "there are only text channels and nothing to denoise"
EMPTY = "no samples"
# files of which something is lost, or that are refused -> the reason
REASONS = {
    "io/ascii/tests/data/mseed2ascii_miniseed_record.txt": "it ends after 422 of 360671 samples",
    "io/css/tests/data/test_css.wfdisc": NO_ROOM,
    "io/css/tests/data/test_css_2.wfdisc": NO_ROOM,
    "io/css/tests/data/test_nnsa.wfdisc": NO_ROOM,
    "io/dmx/tests/data/131114_090600.dmx": NO_ROOM,
    "io/gse2/tests/data/loc_STAU20031119011659.z": NO_ROOM,
    "io/mseed/tests/data/brokenlastrecord.mseed": "the last 2206 bytes are no whole record",
    "io/mseed/tests/data/corrupt_one_extra_byte_at_end.mseed": "the last 1 bytes are no whole record",
    "io/mseed/tests/data/encoding/fullASCII_bigEndian.mseed": TEXT,
    "io/mseed/tests/data/encoding/fullASCII_littleEndian.mseed": TEXT,
    "io/mseed/tests/data/encoding/smallASCII_bigEndian.mseed": TEXT,
    "io/mseed/tests/data/encoding/smallASCII_littleEndian.mseed": TEXT,
    "io/mseed/tests/data/rt130_sr0_cropped.mseed": TEXT,
    "io/mseed/tests/data/single_record_plus_noise_record.mseed": "512 bytes hold no record that can be read",
    "io/nied/tests/data/test.knet": NO_ROOM,
    "io/reftek/tests/data/065520000_013EE8A0.rt130": NO_ROOM,
    "io/reftek/tests/data/104800000_000093F8": NO_ROOM,
    "io/reftek/tests/data/221935615_00000000": NO_ROOM,
    "io/reftek/tests/data/230000005_0036EE80_cropped.rt130": NO_ROOM,
    "io/rg16/tests/data/header_3_chan_one_code.dat": EMPTY,
    "io/sac/tests/data/non_ascii.sac": EMPTY,
    **{f"io/win/tests/data/10030302.{part:02d}": NO_ROOM for part in range(11)},
    "io/win/tests/data/1070533011_1701260003.win": NO_ROOM,
    "io/win/tests/data/25112616_ch0000.10": NO_ROOM,
    "io/win/tests/data/25112618_ch0000.24bits": NO_ROOM,
}


def read(path: Path) -> Stream | None:
    """What ObsPy finds in a file; None if it is not a recording for ObsPy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return obspy.read(str(path))
        except Exception:
            return None


def join(stream: Stream) -> Stream:
    """The same stream with adjacent traces joined, as miniSEED does, in a fixed order."""
    stream = Stream([trace for trace in stream if trace.data.dtype.kind in "iuf" and len(trace)])
    by_rate: dict[float, Stream] = {}
    for trace in stream:
        by_rate.setdefault(trace.stats.sampling_rate, Stream()).append(trace)
    joined = [trace for part in by_rate.values() for trace in part.merge(method=-1)]
    return Stream(sorted(joined, key=lambda t: (t.id, t.stats.starttime, t.stats.npts)))


def read_folder(folder: Path) -> Stream:
    found = [read(path) for path in sorted(folder.iterdir()) if path.suffix != ".QBN"]
    return Stream([trace for stream in found for trace in stream or ()])


def check_same(before: Stream, signal: Stream, noise: Stream) -> None:
    """Compare ids, numbers of samples, rates and times; the sum of signal and noise is the input."""
    # blanks around codes are padding in miniSEED, which is told
    facts = [
        [([code.strip() for code in t.id.split(".")], t.stats.npts) for t in stream]
        for stream in (before, signal, noise)
    ]
    assert facts[1] == facts[0]
    assert facts[2] == facts[0]
    for x, s, n in zip(before, signal, noise, strict=True):
        for part in (s, n):
            assert part.stats.sampling_rate == pytest.approx(x.stats.sampling_rate, rel=1e-6)
            assert abs(part.stats.starttime - x.stats.starttime) <= SHIFT_S
        finite = np.isfinite(x.data)
        np.testing.assert_array_equal(s.data[~finite], x.data[~finite])
        want = x.data[finite].astype(float)
        size = np.abs(want).max(initial=0)
        np.testing.assert_allclose(s.data[finite].astype(float) + n.data[finite], want, rtol=0, atol=1e-6 * size)


def denoise(path: Path, folder: Path) -> tuple[str, Stream, Stream]:
    """Lines about what is not as usual, and what was written: signal and noise."""
    for name in ("signal", "noise"):
        (folder / name).mkdir(parents=True)
    try:
        done = denoise_files([path], folder / "signal", InferenceOptions(MODEL, threads=1), noise_out=folder / "noise")
    except GeoAEError as error:
        return repr(error) if "\n" in str(error) else str(error), Stream(), Stream()
    lines = [line for line in done.problems if not re.search(PASSED_ON, line)]
    return "; ".join(lines), read_folder(folder / "signal"), read_folder(folder / "noise")


@pytest.mark.parametrize("part", range(N_PARTS))
def test_every_recording_comes_back(part, tmp_path):
    """In the format of the input, or in miniSEED where ObsPy does not write that format."""
    wrong = {}
    for number, path in enumerate(FILES[part::N_PARTS]):
        before, name = read(path), path.relative_to(ROOT).as_posix()
        if before is None:
            continue
        said, signal, noise = denoise(path, tmp_path / str(number))
        if not said and name not in REASONS:
            try:
                check_same(join(before), join(signal), join(noise))
            except AssertionError as error:
                wrong[name] = " ".join(str(error).split())[:300] or f"{join(before)} {join(signal)} {join(noise)}"
        elif name not in REASONS or REASONS[name] not in said:
            wrong[name] = said
    assert wrong == {}


def test_the_table_of_reasons_names_shipped_files():
    """No entry is left of a file that a newer ObsPy does not have."""
    assert set(REASONS) <= {path.relative_to(ROOT).as_posix() for path in FILES}


@pytest.mark.parametrize("part", range(2))
def test_what_is_no_recording_is_refused(part, tmp_path):
    """Metadata, tables, pictures and damaged files: an error of geoae in one line, or what could be saved of it."""
    for number, path in enumerate(FILES[part * 5 :: 10]):
        if read(path) is None:
            said, signal, _ = denoise(path, tmp_path / str(number))
            assert said or len(signal)

"""An SDS archive becomes an SDS archive: the same names and folders, with what ObsPy's own client finds in it."""

import re

import numpy as np
import obspy
import pytest
from obspy import Stream, Trace, UTCDateTime
from obspy.clients.filesystem.sds import Client

from geoae.errors import InputError, OutputExistsError
from geoae.jobs.options import InferenceOptions
from tests.support.denoising import denoise_files

DAY = UTCDateTime(2024, 3, 1)


@pytest.fixture
def archive(tmp_path):
    """Two components of a sensor and a channel at 1 Hz, a day file each."""
    rng = np.random.default_rng(0)
    for cha, rate in (("HHN", 100.0), ("HHZ", 100.0), ("LHZ", 1.0)):
        header = {"network": "XX", "station": "AB", "channel": cha, "starttime": DAY, "sampling_rate": rate}
        folder = tmp_path / "sds/2024/XX/AB" / f"{cha}.D"
        folder.mkdir(parents=True)
        samples = (1000 * rng.normal(size=900)).astype(np.int32)
        Stream([Trace(samples, header)]).write(str(folder / f"XX.AB..{cha}.D.2024.061"), format="MSEED")
    (tmp_path / "clean").mkdir()
    return tmp_path


def test_every_day_file_has_its_place_in_the_output(archive, model):
    """Also one that is copied unchanged; the noise has an archive of its own."""
    inputs = sorted((archive / "sds").rglob("*.061"))
    (archive / "noise").mkdir()
    done = denoise_files(
        inputs, archive / "clean", InferenceOptions(model, threads=1), sds=True, noise_out=archive / "noise"
    )
    assert [line.partition(":")[0] for line in done.problems] == ["XX.AB..LHZ"]
    for root in ("clean", "noise"):
        made = sorted(path.relative_to(archive / root) for path in (archive / root).rglob("*.061"))
        assert made == [path.relative_to(archive / "sds") for path in inputs]
    before, after, noise = (
        Client(str(archive / root)).get_waveforms("XX", "AB", "*", "*", DAY, DAY + 2000).sort()
        for root in ("sds", "clean", "noise")
    )
    assert [t.id for t in after] == ["XX.AB..HHN", "XX.AB..HHZ", "XX.AB..LHZ"]
    for x, signal, removed in zip(before, after, noise, strict=True):
        np.testing.assert_allclose(signal.data + removed.data, x.data, atol=1e-3)
    with pytest.raises(OutputExistsError):
        denoise_files(inputs, archive / "clean", InferenceOptions(model, threads=1), sds=True)


@pytest.mark.parametrize(
    ("given", "options", "reason"),
    [
        ("sds/2024/XX/AB/HHZ.D/XX.AB..HHZ.D.2024.061", {"format": "SAC"}, "An SDS archive holds miniSEED, not SAC"),
        ("x.mseed", {}, "x.mseed is no day file of an SDS archive"),
    ],
)
def test_what_fits_no_archive_is_refused(archive, model, given, options, reason):
    """Nothing is written."""
    if not (archive / given).exists():
        obspy.read(str(next((archive / "sds").rglob("*.061")))).write(str(archive / given), format="MSEED")
    with pytest.raises(InputError, match=re.escape(reason)):
        denoise_files([archive / given], archive / "clean", InferenceOptions(model), sds=True, **options)
    with pytest.raises(InputError, match=r"--sds writes an archive below a folder that is there"):
        denoise_files(sorted((archive / "sds").rglob("*.061")), archive / "none", InferenceOptions(model), sds=True)
    assert not list((archive / "clean").iterdir())

"""The trace reader has every sample, id, rate and time that ObsPy reads."""

import warnings
from pathlib import Path

import numpy as np
import obspy
import pytest

import geoae.readers as readers
from geoae.labels.timeaxis import rate_hz, start_ns
from geoae.readers.records import traces

ROOT = Path(obspy.__file__).parent
RECORDINGS = [
    "ah/tests/data/st.ah",
    "ah/tests/data/hrv.lh.zne",
    "alsep/tests/data/pse.a12.6.117.mini",
    "css/tests/data/test_css.wfdisc",
    "cybershake/tests/data/test.grm",
    "dmx/tests/data/131114_090600.dmx",
    "gcf/tests/data/20160603_1955n.gcf",
    "gse2/tests/data/y2000.gse",
    "gse2/tests/data/loc_RJOB20050831023349.z",
    "gse2/tests/data/boa___00_07a.gse",
    "kinemetrics/tests/data/BI008_MEMA-04823.evt",
    "mseed/tests/data/gaps.mseed",
    "mseed/tests/data/qualityflags.mseed",
    "mseed/tests/data/two_channels.mseed",
    "mseed/tests/data/fullseed.mseed",
    "mseed/tests/data/timingquality.mseed",
    "nied/tests/data/test.knet",
    "pdas/tests/data/p1246001.108",
    "reftek/tests/data/225051000_00008656",
    "rg16/tests/data/one_channel_many_traces.fcnt",
    "sac/tests/data/test.sac",
    "sac/tests/data/test.sac.swap",
    "sac/tests/data/testxy.sac",
    "seg2/tests/data/20180307_031245000.0.seg2",
    "segy/tests/data/1.sgy_first_trace",
    "segy/tests/data/1.su_first_trace",
    "seisan/tests/data/9701-30-1048-54S.MVO_21_1",
    "seisan/tests/data/2001-01-13-1742-24S.KONO__004",
    "sh/tests/data/QFILE-TEST.QHD",
    "sh/tests/data/QFILE-TEST-ASC.ASC",
    "ascii/tests/data/slist_2_traces.ascii",
    "ascii/tests/data/tspair_2_traces.ascii",
    "ascii/tests/data/slist.ascii.bz2",
    "wav/tests/data/3cssan.near.8.1.RNON.wav",
    "win/tests/data/10030302.00",
    "y/tests/data/YAYT_BHZ_20021223.124800",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RECORDINGS)
def test_samples_ids_rates_and_times_are_obspys(name):
    """Each trace that ObsPy reads lies in a record under its id, at its rate, at its time, sample by sample."""
    path = ROOT / "io" / name
    assert traces.sniff(path)
    waiting = [trace for trace in obspy.read(str(path)) if trace.stats.npts]
    # copies of a trace are one stretch of a record
    copies = {(t.id, t.stats.starttime.ns, t.data.tobytes()): t.stats.npts for t in waiting}
    n_expected = sum(copies.values())
    records = readers.read_records(path)
    for record in records:
        assert record.dims == ("channel", "time")
        for row, id_ in enumerate(record.id.values):
            line = record.values[row]
            for trace in [trace for trace in waiting if trace.id == id_]:
                rate = trace.stats.sampling_rate
                shift = (trace.stats.starttime.ns - start_ns(record)) * rate / 1e9
                first = round(shift)
                part = line[max(first, 0) : first + trace.stats.npts]
                if (
                    abs(rate_hz(record) / rate - 1) < 1e-6
                    and first >= 0
                    and part.size == trace.stats.npts
                    and np.array_equal(part, trace.data)
                ):
                    assert abs(shift - first) <= 0.5
                    waiting = [t for t in waiting if t is not trace]
    assert not waiting
    assert sum(int(np.isfinite(record.values).sum()) for record in records) == n_expected


def test_no_reader_prints(capfd):
    """Messages of ObsPy become warnings of one line."""
    path = ROOT / "io" / "mseed/tests/data/brokenlastrecord.mseed"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        readers.read(path).load()
    assert [str(one.message).count("\n") for one in caught] == [0]
    assert str(caught[0].message).startswith("brokenlastrecord.mseed: ")
    assert capfd.readouterr() == ("", "")

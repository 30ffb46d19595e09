"""Tests of geoae.readers.records.seisbench: every way of storing a record gives the same E N Z, lazily."""

import csv
import pickle

import h5py
import numpy as np
import pytest

from geoae.errors import DamagedFileError, GeoAEError, InputError
from geoae.readers.records import seisbench
from tests.conftest import write_seisbench

ENZ = np.arange(3)[:, None] * 100.0 + np.sin(np.arange(60.0))
"""Each component has its own mean."""


def write(folder, arrays, rows, dimensions="CW", components="ENZ", chunk=""):
    """`arrays`: path under data/ -> dataset; `rows` of metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = list(dict.fromkeys(k for row in rows for k in row))
    with (folder / f"metadata{chunk}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, keys)
        writer.writeheader()
        writer.writerows(rows)
    with h5py.File(folder / f"waveforms{chunk}.hdf5", "w") as file:
        for name, x in arrays.items():
            file[f"data/{name}"] = np.asarray(x, np.float32)
        file["data_format/dimension_order"], file["data_format/component_order"] = dimensions, components
    return folder


@pytest.mark.parametrize("components", ["ENZ", "ZNE", "NZE", "12Z", "21Z", "enz", "ZNEH"])
def test_components_come_as_e_n_z(tmp_path, components):
    """Whatever the stored order, and whether horizontals are called E N or 2 1, rows are E N Z."""
    place = {"E": 0, "2": 0, "N": 1, "1": 1, "Z": 2}
    stored = [ENZ[place[c]] if c in place else np.full(60, -1.0) for c in components.upper()]
    data = seisbench.open_set(write(tmp_path / "set", {"a": stored}, [{"trace_name": "a"}], components=components))
    np.testing.assert_allclose(data.waveform(0), ENZ, rtol=1e-6)


@pytest.mark.parametrize("dimensions", ["CW", "WC", "NCW", "NWC"])
def test_both_orders_of_dimensions_are_read(tmp_path, dimensions):
    """Channels first or samples first, alone or in buckets."""
    x = ENZ.T if dimensions.endswith("WC") else ENZ
    name, stored = ("bucket0$1,:,:", np.stack([x * 0, x])) if "N" in dimensions else ("a", x)
    folder = write(tmp_path / "set", {name.partition("$")[0]: stored}, [{"trace_name": name}], dimensions)
    np.testing.assert_allclose(seisbench.open_set(folder).waveform(0), ENZ, rtol=1e-6)


def test_buckets_are_cut_to_the_record(tmp_path):
    """bucket$index,:channels,:samples is that part of the bucket: the padding of shorter records is left out."""
    bucket = np.full((2, 3, 100), 9.0)
    bucket[1, :, :60] = ENZ
    folder = write(tmp_path / "set", {"bucket0": bucket}, [{"trace_name": "bucket0$1,:3,:60"}], "NCW")
    x = seisbench.open_set(folder).waveform(0)
    assert x.shape == (3, 60)
    np.testing.assert_allclose(x, ENZ, rtol=1e-6)


def test_a_row_may_have_its_own_order(tmp_path):
    """trace_component_order of a record has priority over that of the file."""
    rows = [{"trace_name": "a", "trace_component_order": "ZNE"}, {"trace_name": "a", "trace_component_order": ""}]
    data = seisbench.open_set(write(tmp_path / "set", {"a": ENZ[::-1]}, rows, components="ENZ"))
    np.testing.assert_allclose(data.waveform(0), ENZ, rtol=1e-6)
    np.testing.assert_allclose(data.waveform(1), ENZ[::-1], rtol=1e-6)


def test_chunks_are_one_set(tmp_path):
    """metadata<chunk>.csv with waveforms<chunk>.hdf5 are read together, and the same name may be in both."""
    for k, chunk in enumerate(("_2019", "_2020")):
        write(tmp_path / "set", {"a": ENZ + 1000 * k}, [{"trace_name": "a"}], chunk=chunk)
    (tmp_path / "set" / "metadata_alone.csv").write_text("trace_name\nx\n")
    data = seisbench.open_set(tmp_path / "set")
    assert len(data) == 2
    assert [round(float(data.waveform(i)[0].mean())) for i in range(2)] == [0, 1000]


def test_a_folder_of_sets_is_one_set(tmp_path):
    """Sets in the folders of a folder are read together; other folders are left out."""
    for k, name in enumerate(("a", "b")):
        write(tmp_path / "both" / name, {"x": ENZ + 1000 * k}, [{"trace_name": "x"}], chunk="_1" if k else "")
    (tmp_path / "both" / "notes").mkdir()
    data = seisbench.open_set(tmp_path / "both")
    assert [round(float(data.waveform(i)[0].mean())) for i in range(len(data))] == [0, 1000]
    assert not seisbench.sniff(tmp_path / "both")


@pytest.mark.parametrize(("yes", "no"), [("True", "False"), ("1", "0"), ("true", "")])
def test_missing_components_are_flagged(tmp_path, yes, no):
    """From trace_has_e/n/z if all three are set; else a constant component is missing."""
    x = ENZ.copy()
    x[1] = 5.0
    row = {"trace_name": "a", "trace_has_e": yes, "trace_has_n": no, "trace_has_z": yes}
    data = seisbench.open_set(write(tmp_path / "set", {"a": x}, [row, {"trace_name": "a"}]))
    assert data.present(0) == data.present(1) == (True, False, True)


def test_a_gap_does_not_make_a_component_missing(tmp_path):
    """NaN in the samples does not make a component missing."""
    x = ENZ.copy()
    x[0, 3:9] = np.nan
    data = seisbench.open_set(write(tmp_path / "set", {"a": x}, [{"trace_name": "a"}]))
    assert data.present(0) == (True, True, True)


def test_rates_stations_and_picks_come_from_the_table(tmp_path):
    """Numbers and names as metadata.csv has them; 100 Hz where it has none; STEAD's and INSTANCE's name of the pick."""
    rows = [
        {"trace_name": "a", "trace_sampling_rate_hz": "62.5", "station_network_code": "XX", "station_code": "A",
         "trace_p_arrival_sample": "12.0", "trace_P_arrival_sample": ""},
        {"trace_name": "a", "trace_P_arrival_sample": "7"},
        {"trace_name": "a"},
        {"trace_name": "a", "trace_p_arrival_sample": "nan"},
    ]  # fmt: skip
    data = seisbench.open_set(write(tmp_path / "set", {"a": ENZ}, rows))
    assert [data.rate_hz(i) for i in range(3)] == [62.5, 100.0, 100.0]
    assert [data.station(i) for i in range(2)] == ["XX.A", "."]
    assert [data.p_sample(i) for i in range(4)] == [12.0, 7.0, None, None]


@pytest.fixture
def three(tmp_path):
    rows = [{"trace_sampling_rate_hz": 100.0, "station_code": f"S{i}", "trace_has_e": True, "trace_has_n": i != 1,
             "trace_has_z": True} for i in range(3)]  # fmt: skip
    return write_seisbench(tmp_path / "three", rows, [ENZ, ENZ + 1, ENZ[:, :40] + 2])


def test_read_gives_one_lazy_array(three, monkeypatch):
    """Nothing is read until samples are asked for, and then only the records that were."""
    used = []
    whole = seisbench.SeisBenchSet.waveform
    monkeypatch.setattr(seisbench.SeisBenchSet, "waveform", lambda self, i: used.append(i) or whole(self, i))
    x = seisbench.read(three)
    used.clear()
    assert (x.dims, x.shape, x.dtype) == (("record", "channel", "time"), (3, 3, 60), np.float32)
    part = x.isel(record=[2, 0], time=slice(10, 50))
    assert not used
    assert part.values.shape == (2, 3, 40)
    assert set(used) == {0, 2}
    assert list(x["channel"].values) == ["E", "N", "Z"]
    assert list(x["station_code"].values) == ["S0", "S1", "S2"]
    assert x.attrs["sampling_rate_hz"] == 100.0


def test_short_records_and_missing_components_are_nan(three):
    """Records end in NaN where they are shorter; a component that was not recorded is NaN throughout."""
    x = seisbench.read(three).values
    assert np.isnan(x[2, :, 40:]).all()
    assert np.isnan(x[1, 1]).all()
    np.testing.assert_allclose(x[2, :, :40], ENZ[:, :40] + 2, rtol=1e-6)


@pytest.mark.parametrize(
    "key",
    [
        (1, 2, 5),
        (slice(None), 0, slice(None, None, 7)),
        ([2, 0], [2, 0], slice(3, 9)),
        (0, slice(1, 3), [5, 1, 1]),
        ([1], slice(None), 59),
        (slice(0, 0), slice(None), slice(None)),
    ],
)
def test_any_part_is_that_part_of_the_whole(three, key):
    """Numbers, slices and lists along each dimension, together, select what numpy selects one after the other."""
    x = seisbench.read(three)
    expected = x.values
    part = x.isel(record=key[0], channel=key[1], time=key[2])
    for axis, k in zip((0, 1, 2), key, strict=True):
        expected = np.take(expected, np.atleast_1d(np.arange(expected.shape[axis])[k]), axis=axis)
    dropped = tuple(axis for axis, k in enumerate(key) if isinstance(k, int))
    np.testing.assert_array_equal(part.values, expected.squeeze(dropped))


def test_an_open_set_can_go_to_another_process(three):
    """Open files stay behind when a set is pickled, and are opened anew."""
    data = seisbench.open_set(three)
    data.waveform(0)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data)).waveform(1), data.waveform(1))


def test_sniff_knows_the_form_and_never_raises(three, tmp_path):
    """A folder with both files is one; other folders, files and nothing are not."""
    assert seisbench.sniff(three)
    assert not seisbench.sniff(tmp_path)
    assert not seisbench.sniff(three / "metadata.csv")
    assert not seisbench.sniff(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "trace_name\n", "name\nx\n"])
def test_a_table_without_records_is_refused(three, text):
    """No rows, or no column trace_name, is not the SeisBench format."""
    (three / "metadata.csv").write_text(text)
    with pytest.raises(InputError, match="trace_name"):
        seisbench.open_set(three)


def test_another_folder_is_refused(tmp_path):
    """An empty or missing folder says what was expected."""
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"waveforms\.hdf5"):
            seisbench.open_set(folder)


def damage_name(folder):
    text = (folder / "metadata.csv").read_text()
    (folder / "metadata.csv").write_text(text.replace("r2", "r9"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "waveforms.hdf5").write_bytes(b"no HDF5"),
        lambda folder: (folder / "waveforms.hdf5").write_bytes(b""),
        damage_name,
        lambda folder: (folder / "metadata.csv").write_bytes(b"trace_name\n\xff\xfe\n"),
        lambda folder: (folder / "metadata.csv").write_text("trace_name,trace_sampling_rate_hz\nr0,fast\n"),
        lambda folder: (folder / "metadata.csv").write_text("trace_name,trace_sampling_rate_hz\nr0,-1\n"),
        lambda folder: (folder / "metadata.csv").write_text("x,trace_name\n1,r0\n1\n"),
        lambda folder: (folder / "metadata.csv").write_text("trace_name\nr0$x,:3,:5\n"),
    ],
)
def test_a_broken_set_is_one_line(three, damage):
    """Truncated files, names without samples, and words in the place of numbers are errors of ours."""
    damage(three)
    with pytest.raises(GeoAEError) as caught:
        seisbench.read(three).load()
    assert isinstance(caught.value, DamagedFileError)
    assert "\n" not in str(caught.value)
    assert "three" in str(caught.value)

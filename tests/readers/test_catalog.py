"""Tests of geoae.readers.catalog: hydroMT's format, roots from the environment, and errors that list the names."""

import numpy as np
import obspy
import pytest
import xarray as xr

import geoae
from geoae.errors import InputError, MissingFileError, RecipeError, UnknownNameError
from geoae.jobs.options import InferenceOptions
from geoae.labels.adapter import Adapter
from geoae.readers import catalog
from tests.support.denoising import denoise_files

TEXT = """
meta: {{version: v1, roots: {roots}}}
quakes:
  data_type: SeismicSet
  uri: quakes
  driver: {driver}
  metadata: {{licence: CC BY 4.0}}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(catalog.ENVIRONMENT, raising=False)
    (tmp_path / "store" / "quakes").mkdir(parents=True)


def write(tmp_path, roots="[$MY_DATA]", driver="{name: seisbench}", name=catalog.FILE):
    (tmp_path / name).write_text(TEXT.format(roots=roots, driver=driver))
    return tmp_path / name


@pytest.mark.parametrize("driver", ["{name: seisbench, options: {}}", "seisbench"])
def test_hydromts_format_is_read(tmp_path, driver):
    """meta with roots, entries with data_type, uri, driver (a name, or a name with options) and metadata."""
    found = catalog.load_catalog(write(tmp_path, "[store]", driver))
    assert found.root == tmp_path / "store"
    assert found.entries["quakes"].driver.name == "seisbench"
    assert found.entries["quakes"].metadata.licence == "CC BY 4.0"


def test_the_catalog_of_the_repository_loads(request):
    """data_catalog.yml is valid, and every entry has a licence."""
    found = catalog.load_catalog(request.config.rootpath / catalog.FILE)
    assert {"seismic", "stead", "instance"} <= set(found.entries)
    assert all(entry.metadata.licence for entry in found.entries.values())


def test_a_root_may_come_from_the_environment(tmp_path, monkeypatch):
    """$MY_DATA in `roots` is the folder that holds the data."""
    write(tmp_path)
    monkeypatch.setenv("MY_DATA", str(tmp_path / "store"))
    assert catalog.locate_data("quakes") == tmp_path / "store" / "quakes"


@pytest.mark.parametrize("roots", ["[store]", "store", "[./store, elsewhere]"])
def test_a_relative_root_starts_at_the_catalog(tmp_path, monkeypatch, roots):
    """The roots of GEOAE_CATALOG are relative to its file, not to the working folder."""
    monkeypatch.setenv(catalog.ENVIRONMENT, str(write(tmp_path, roots, name="mine.yml")))
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert catalog.locate_data("quakes") == tmp_path / "store" / "quakes"


def test_a_path_needs_no_catalog(tmp_path):
    """An existing path is returned, even if the catalog is broken."""
    (tmp_path / catalog.FILE).write_text("[")
    assert catalog.locate_data("store").samefile(tmp_path / "store")


def test_an_unknown_name_lists_the_names(tmp_path):
    """The message has all names and the path of the catalog."""
    write(tmp_path)
    with pytest.raises(UnknownNameError, match=r"no data set 'quaks'.*quakes.*data_catalog\.yml"):
        catalog.locate_data("quaks")


def test_without_a_catalog_the_message_says_so():
    """The error names the missing file."""
    with pytest.raises(UnknownNameError, match=r"there is no data_catalog\.yml here"):
        catalog.locate_data("quakes")


def test_an_entry_whose_path_is_missing_is_named(tmp_path, monkeypatch):
    """The error has the path, or the environment variable that is not set."""
    write(tmp_path)
    monkeypatch.delenv("MY_DATA", raising=False)
    with pytest.raises(InputError, match=r"Set the environment variable MY_DATA"):
        catalog.locate_data("quakes")
    monkeypatch.setenv("MY_DATA", str(tmp_path / "other"))
    with pytest.raises(InputError, match=r"other/quakes, which does not exist\. Correct its uri"):
        catalog.locate_data("quakes")


def test_a_named_catalog_that_is_missing_is_refused(monkeypatch):
    """GEOAE_CATALOG must name an existing file."""
    monkeypatch.setenv(catalog.ENVIRONMENT, "nowhere.yml")
    with pytest.raises(RecipeError, match=r"GEOAE_CATALOG names nowhere\.yml"):
        catalog.locate_data("quakes")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quakes: {uri: x, data_type: y}", "quakes.driver: field required"),
        ("quakes: {uri: x, data_type: y, driver: z, colour: red}", "quakes.colour: extra"),
        ("quakes: 3", "quakes: input should be"),
        ("t: {uri: x, data_type: y, driver: z, data_adapter: {unit_mul: {}}}", "t.data_adapter.unit_mul: extra"),
        (
            "t: {uri: x, data_type: y, driver: z, data_adapter: {unit_mult: {t: 0}}}",
            "t.data_adapter.unit_mult.t: expected a number other than 0",
        ),
        (
            "t: {uri: x, data_type: y, driver: z, data_adapter: {unit_add: {t: warm}}}",
            "t.data_adapter.unit_add.t: input",
        ),
        ("t: {uri: x, data_type: y, driver: z, metadata: {nodata: none}}", "t.metadata.nodata"),
        ("[1, 2]", "cannot be read as a data catalog"),
        ("quakes: [", "cannot be read as YAML, so it is no data catalog"),
    ],
)
def test_a_broken_catalog_is_one_line(tmp_path, text, said):
    """Missing and unknown keys are named with their entry."""
    (tmp_path / "c.yml").write_text(text)
    with pytest.raises(RecipeError, match=r"^[^\n]*$") as caught:
        catalog.load_catalog(tmp_path / "c.yml")
    assert said in str(caught.value)


GRIDS = """
meta: {version: v1, roots: [nowhere, store]}
warm:
  data_type: RasterDataset
  uri: %s
  driver: {name: raster_xarray, options: {chunks: {time: 1}, combine: by_coords}}
  data_adapter: {rename: {VAR_2T: t2m}, unit_mult: {u: 3.6}, unit_add: {t2m: -273.15}}
  metadata: {crs: 4326, attrs: {t2m: {units: degC}}, nodata: -9999, licence: CC0}
  version: 2
  provider: me
"""
FIELD = np.array([[280.0, -9999.0, 290.0]] * 2, "f4")


def fields(tmp_path, uri="t.nc"):
    """A catalog, and the file that it names."""
    (tmp_path / catalog.FILE).write_text(GRIDS % uri)
    plane = {"attrs": {"units": "K"}}
    for k, name in enumerate(["t.nc"] if uri == "t.nc" else ["t_2020.nc", "t_2021.nc"]):
        data = xr.Dataset({n: (("time", "lat", "lon"), FIELD[None], plane["attrs"]) for n in ("VAR_2T", "u")})
        data.assign_coords(time=[np.datetime64(2020 + k - 1970, "Y").astype("M8[ns]")]).to_netcdf(
            tmp_path / "store" / name, engine="h5netcdf"
        )


def test_names_are_read_with_their_conversions(tmp_path):
    """Names, missing values and units are converted lazily; other variables are unchanged."""
    fields(tmp_path)
    tree = geoae.read("warm")
    x = geoae.read("warm", var="t2m")
    np.testing.assert_allclose(x.values[0, 0], [6.85, np.nan, 16.85], rtol=1e-5)
    assert (x.attrs["units"], x.dtype, x.chunks is not None) == ("degC", np.float32, True)
    np.testing.assert_allclose(tree["u"].values[0, 0], [1008, np.nan, 1044], rtol=1e-6)
    assert "units" not in tree["u"].attrs
    with pytest.raises(UnknownNameError, match="no variable VAR_2T; there are t2m, u"):
        geoae.read("warm", var="VAR_2T")


@pytest.mark.parametrize("uri", ["t_*.nc", "t_{year}.nc", "t_{year:04d}.nc"])
def test_an_entry_may_be_several_files(tmp_path, uri):
    """By wildcards and the placeholders of hydroMT."""
    fields(tmp_path, uri)
    assert geoae.read("warm", var="t2m").sizes["time"] == 2
    content = geoae.info("warm")
    assert content.notes == ["the first of 2 files"]


def test_info_of_a_name_shows_what_is_read(tmp_path):
    """Names and units after conversion."""
    fields(tmp_path)
    rows = geoae.info("warm").fields
    assert [(r.name, r.units, r.horizontal) for r in rows] == [("t2m", "degC", "lat, lon"), ("u", "", "lat, lon")]


def test_an_existing_file_has_priority(tmp_path):
    """A file with the name of an entry is read instead of the entry."""
    fields(tmp_path)
    xr.Dataset({"x": (("lat", "lon"), FIELD)}).to_netcdf(tmp_path / "warm", engine="h5netcdf")
    assert geoae.read("warm").name == "x"


def test_options_of_drivers_are_those_of_readers(tmp_path):
    """concat_dim becomes `along`, options that tune xarray are ignored, and unknown options are refused."""
    text = "t: {uri: store, data_type: y, driver: {name: zarr, options: %s}}"
    (tmp_path / catalog.FILE).write_text(text % "{concat_dim: member, parallel: true, storage_options: {anon: true}}")
    source = catalog.find_entry("t")
    assert (source.reader, source.adapter) == ("grids", Adapter())
    assert source.options == {"along": "member", "options": {"storage_options": {"anon": True}}}
    (tmp_path / catalog.FILE).write_text(text % "{preprocess: round_latlon}")
    with pytest.raises(InputError, match="does not know preprocess; it takes var"):
        geoae.read("t")


def test_urls_and_roots_of_entries(tmp_path):
    """A URL is unchanged, a root may be a URL, and an entry may have its own root."""
    entry = "{uri: %s, data_type: y, driver: zarr%s}"
    lines = {
        "a": entry % ("s3://b/c.zarr", ""),
        "b": entry % ("c.zarr", ", root: 's3://b/'"),
        "c": entry % ("quakes", ", root: store"),
    }
    (tmp_path / catalog.FILE).write_text("\n".join(f"{k}: {v}" for k, v in lines.items()))
    assert [catalog.find_entry(k).places for k in "ab"] == [("s3://b/c.zarr",)] * 2
    assert catalog.find_entry("c").places[0].samefile(tmp_path / "store" / "quakes")
    with pytest.raises(InputError, match="no single folder or file"):
        catalog.locate_data("a")


def test_recordings_may_be_in_the_catalog(tmp_path, model):
    """`read`, `info` and `denoise` accept the name; `read` converts units, which `denoise` refuses to do."""
    trace = obspy.Trace(np.arange(1000, dtype="i4"), {"station": "AB", "channel": "HHZ", "sampling_rate": 100.0})
    trace.write(str(tmp_path / "store" / "day.mseed"), format="MSEED")
    (tmp_path / catalog.FILE).write_text(
        "day: {uri: store/day.mseed, data_type: Traces, driver: traces, metadata: {unit: m/s},\n"
        "      data_adapter: {unit_mult: {trace: 0.001}}}"
    )
    x = geoae.read("day")
    assert x.attrs["units"] == "m/s"
    np.testing.assert_allclose(x.isel(time=slice(5, 9)).values, [[0.005, 0.006, 0.007, 0.008]])
    assert geoae.info("day").rows[0].samples == 1000
    with pytest.raises(InputError, match=r"^The catalog changes samples or times of day .* geoae\.read\('day'\)"):
        denoise_files(["day"], tmp_path / "out.mseed", InferenceOptions(model))
    (tmp_path / catalog.FILE).write_text("day: {uri: store/day.mseed, data_type: Traces, driver: traces}")
    summary = denoise_files(["day"], tmp_path / "out.mseed", InferenceOptions(model))
    assert summary.outputs == [tmp_path / "out.mseed"]


def test_unknown_files_and_names(tmp_path):
    """The names are listed unless the text is a path."""
    fields(tmp_path)
    for look in (geoae.read, geoae.info):
        with pytest.raises(MissingFileError, match=r"cold does not exist, nor .* warm \(data_catalog\.yml\)"):
            look("cold")
        with pytest.raises(MissingFileError, match=r"store/cold does not exist\. Check the name"):
            look("store/cold")

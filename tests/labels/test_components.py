"""Channels of one sensor are grouped, others stay apart, and each component has its row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.labels.components import FAMILIES, assign_rows, group_sensors, join_components, name_sensor, parse_code


def group(codes, rate=100.0):
    """Groups of codes, sorted."""
    sensors = group_sensors({f"XX.A..{code}": rate for code in codes.split()})
    return sorted(" ".join(id_.split(".", 3)[3] for id_ in ids) for ids in sensors)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ("HHZ HHN HHE", ["HHE HHN HHZ"]),
        ("hhz hhn hhe", ["hhe hhn hhz"]),
        ("HHX HHY HHZ", ["HHX HHY HHZ"]),
        ("HH2 HH3 HHZ", ["HH2 HH3 HHZ"]),
        ("BH1 BH2 BHZ", ["BH1 BH2 BHZ"]),
        ("BH1 BH2 BH3", ["BH1 BH2 BH3"]),
        ("DP1 DP2 DPZ", ["DP1 DP2 DPZ"]),
        ("HHL HHQ HHT", ["HHQ HHT HHL"]),
        ("EW NS UD", ["EW NS UD"]),
        ("ew ns ud", ["ew ns ud"]),
        ("EW1 NS1 UD1 EW2 NS2 UD2", ["EW1 NS1 UD1", "EW2 NS2 UD2"]),
        ("Z2 N2 E2 Z3", ["E2 N2 Z2", "Z3"]),
        ("E N Z", ["E N Z"]),
        ("X Y Z", ["X Y Z"]),
        ("R T Z", ["R T Z"]),
        ("1 2 Z", ["1 2 Z"]),
        ("EAST NORTH UP", ["EAST NORTH UP"]),
        ("SE SN SZ", ["SE SN SZ"]),
        ("SBE SBN SBZ", ["SBE SBN SBZ"]),
        ("01E 01N 01Z 02Z", ["01E 01N 01Z", "02Z"]),
    ],
)
def test_components_of_one_sensor(codes, expected):
    """Codes of SEED, K-NET, KiK-net and Guralp, and single letters, in any case."""
    assert group(codes) == expected


@pytest.mark.parametrize(
    "codes",
    [
        "1 2 3",
        "001 002 003",
        "G01 G02 G03",
        "CH1 CH2 CH3",
        "GP1 GP2 GP3",
        "DP1 DP2 DP3",
        "IN1 IN2 IN3",
        "LN1 LN2 LN3",
        "DS1 DS2 DS3",
        "D0001 D0002 D0003",
        "HH1 HH2 HH3 HH4",
        "BS1 BS2 BS3",
        "BS1 BS2 BS3 BS4",
        "LVA LVB",
        "LDA LDB",
        "VEA VEC",
        "A B C",
        "L T V",
        "T R",
        "HHZ HHz",
        "HHZ BHN",
        "NS1 NS2",
    ],
)
def test_channels_that_stay_apart(codes):
    """Geophones of a line, channels of a cable, scalars, and whatever leaves doubt."""
    assert group(codes) == sorted(codes.split())


def test_a_high_band_needs_a_high_rate():
    """GP1 GP2 GP3 are components at the rates of band G, and geophones at lower ones; CH1 is a name of channels."""
    assert group("GP1 GP2 GP3", rate=1000.0) == ["GP1 GP2 GP3"]
    for code, rate in (("GP", 500.0), ("CH", 1000.0)):
        assert group(f"{code}1 {code}2 {code}3", rate=rate) == [f"{code}1", f"{code}2", f"{code}3"]


def test_locations_are_sensors_of_their_own():
    """Components have one network, station and location."""
    ids = ["XX.A.00.HHE", "XX.A.00.HHZ", "XX.A.10.HHZ", "XX.B.00.HHN"]
    assert sorted(group_sensors(dict.fromkeys(ids, 100.0))) == [tuple(ids[:2]), (ids[2],), (ids[3],)]


@given(st.sets(st.text("HEBNZXYRT123z.", max_size=3), max_size=12), st.randoms())
def test_each_channel_is_in_one_sensor(codes, shuffler):
    """No channel is lost, none is used twice, no two share a component, and the order of the input does not matter."""
    ids = [f"XX.A..{code}" for code in codes]
    sensors = group_sensors(dict.fromkeys(ids, 100.0))
    assert sorted(id_ for sensor in sensors for id_ in sensor) == sorted(ids)
    for sensor in sensors:
        letters = [parse_code(id_.split(".", 3)[3]).letter for id_ in sensor]
        assert len(sensor) == 1 or any(set(letters) <= set(family) for family in FAMILIES)
        assert len(set(letters)) == len(sensor) <= 3
    shuffler.shuffle(ids)
    assert group_sensors(dict.fromkeys(ids, 100.0)) == sensors


@pytest.mark.parametrize(
    ("codes", "rows"),
    [
        ("HHE HHN HHZ", [0, 1, 2]),
        ("BH1 BH2 BHZ", [1, 0, 2]),
        ("BH1 BH2 BH3", [1, 0, 2]),
        ("HH2 HH3 HHZ", [1, 0, 2]),
        ("HHX HHY HHZ", [0, 1, 2]),
        ("EW1 NS1 UD1", [0, 1, 2]),
        ("BHR BHT BHZ", [1, 0, 2]),
        ("hhn", [1]),
        ("001", [None]),
        ("HDF", [None]),
    ],
)
def test_rows_of_components(codes, rows):
    """East or its like is first, the vertical last; a channel that is no component has no row of its own."""
    assert assign_rows(codes.split()) == rows


def test_names_of_sensors():
    """The component is left out where it is one."""
    assert name_sensor(["XX.A.00.HHE", "XX.A.00.HHZ"]) == "XX.A.00.HH"
    assert name_sensor(["XX.A..CH1"]) == "XX.A..CH1"
    assert name_sensor([""]) == ""
    assert join_components(["XX.A..EW", "XX.A..NS"]) == "XX.A..EW NS"

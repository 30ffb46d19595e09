"""Channels that are the components of one sensor: which belong together, their order, and their rows in a net's input.

Channel codes decide. Where they leave doubt, channels stay apart: a record of one component is denoised well, a record
of two sensors is not.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

FAMILIES = {
    "ENZ": (0, 1, 2), "12Z": (1, 0, 2), "123": (1, 0, 2), "RTZ": (1, 0, 2), "QTL": (1, 0, 2), "UVW": (0, 1, 2),
    "ABC": (0, 1, 2), "XYZ": (0, 1, 2), "23Z": (1, 0, 2),
}  # fmt: skip
"""Component letters of one sensor, in the order of rows of a record, and the row of each in a net's input (E N Z).

1 and 2 are horizontals that are not aligned to north; R T, Q T and U V W are treated as N E and E N Z.
"""

_NAMES = {
    "EW": "E", "NS": "N", "UD": "Z", "EAST": "E", "NORTH": "N", "UP": "Z", "VERT": "Z", "VERTICAL": "Z",
}  # fmt: skip
"""Names of components that are more than a letter: of K-NET and KiK-net, and words."""

_WITH_NUMBER = re.compile(rf"({'|'.join(_NAMES)}|[ENZXY])(\d+)|({'|'.join(_NAMES)})")
_SEED = re.compile("[A-Z]{2}[A-Z0-9]")
_SCALARS = frozenset("BCDEIKORTUVWY")
"""Instrument codes of SEED for pressure, temperature, wind, voltages, ..., whose letters A B C are no components."""
_SEISMOMETERS = frozenset("GHJLMNP")
"""Instrument codes of SEED whose channels may be components that digits number."""
_BANDS_HZ = (
    dict.fromkeys("FG", (1000.0, math.inf)) | dict.fromkeys("CD", (250.0, math.inf))
    | dict.fromkeys("EHSB", (0.0, math.inf)) | dict.fromkeys("MLVURPTQ", (0.0, 20.0))
)  # fmt: skip
"""Sampling rates of the band codes of SEED, with room for those that data have. Other letters name no band. Those with
limits are also first letters of common names of numbered channels (GP1, CH1, DP1, LN1)."""


class ChannelCode(NamedTuple):
    """What a channel code says of its sensor."""

    style: str
    """"number" (EW1, Z2), "seed" (HHZ), "plain" (Z, GEO-Z), or "none" for a code that ends in no component letter."""
    stem: str
    """Equal for the components of one sensor."""
    letter: str
    """Component letter in upper case; empty for "none"."""


def parse_code(code: str) -> ChannelCode:
    """Parse a channel code.

    Examples
    --------
    >>> parse_code("HHZ").letter, parse_code("hhn").letter, parse_code("EW2").letter, parse_code("001").letter
    ('Z', 'N', 'E', '1')
    """
    upper = code.upper()
    if found := _WITH_NUMBER.fullmatch(upper):
        name = found[1] or found[3]
        return ChannelCode("number", found[2] or "", _NAMES.get(name, name))
    letter, stem = upper[-1:], code[:-1]
    if not any(letter in family for family in FAMILIES if letter):
        return ChannelCode("none", code, "")
    is_seed = _SEED.fullmatch(upper) and upper[1] not in _SCALARS
    return ChannelCode("seed" if is_seed else "plain", stem, letter)


def group_sensors(rates_hz: Mapping[str, float]) -> list[tuple[str, ...]]:
    """Group channels into sensors.

    Parameters
    ----------
    rates_hz
        NET.STA.LOC.CHA -> sampling rate.

    Returns
    -------
    list of tuple of str
        Ids of each sensor, at most one for each component, in the order of rows of a record. Channels of one sensor
        have the same network, station and location.

    Notes
    -----
    Components have codes of SEED that differ in the orientation (HHE HHN HHZ), the codes of K-NET and KiK-net (EW NS
    UD, and EW1 NS1 UD1, in which the number is that of the sensor), or names that end in E N Z, X Y Z, R T Z, 1 2 Z or
    2 3 Z, in any case. Channels that are only numbered (1 2 3, 001 002, CH1 CH2 CH3) are geophones of a line, or
    channels of a cable; they are components only with the band and instrument codes of a seismometer.
    """
    groups: dict[tuple[str, str, str], list[str]] = {}
    endings: dict[str, set[str]] = {}
    for id_ in sorted(rates_hz):
        sensor, code = _split_id(id_)
        parsed = parse_code(code)
        groups.setdefault((sensor, parsed.style, parsed.stem), []).append(id_)
        endings.setdefault(id_[:-1], set()).add(id_[-1:])
    sensors: list[tuple[str, ...]] = []
    for (_, style, stem), ids in groups.items():
        is_counted = bool(endings[ids[0][:-1]] & set("0456789"))  # the digits count channels
        sensors += _group_by_family(style, stem, ids, rates_hz, is_counted)
    return sensors


def assign_rows(codes: Sequence[str]) -> list[int | None]:
    """Row of a net's input (E N Z) for each channel code of one sensor; None for a code that is no component."""
    parsed = [parse_code(code) for code in codes]
    if len(parsed) == 1 and parsed[0].style == "plain" and parsed[0].letter.isdigit():
        return [None]  # a numbered channel
    letters = [found.letter for found in parsed]
    left, rows = {letter for letter in letters if letter}, dict[str, int]()
    while left:
        family = max(FAMILIES, key=lambda name: len(left.intersection(name)))  # the first of equal ones
        rows |= {letter: FAMILIES[family][family.index(letter)] for letter in left.intersection(family)}
        left.difference_update(family)
    return [rows.get(letter) for letter in letters]


def name_sensor(ids: Sequence[str]) -> str:
    """Name of the sensor of a record: the id without the component.

    Examples
    --------
    >>> name_sensor(["XX.A..HHE", "XX.A..HHZ"]), name_sensor(["XX.A..EW1", "XX.A..NS1"]), name_sensor(["XX.A..001"])
    ('XX.A..HH', 'XX.A..1', 'XX.A..001')
    """
    sensor, code = _split_id(ids[0])
    parsed = parse_code(code)
    return f"{sensor}{parsed.stem}" if len(ids) > 1 or parsed.letter.isalpha() else ids[0]


def join_components(ids: Sequence[str]) -> str:
    """The components of a sensor as text.

    Examples
    --------
    >>> join_components(["XX.A..HHE", "XX.A..HHN", "XX.A..HHZ"])
    'XX.A..HHE HHN HHZ'
    """
    return " ".join([ids[0], *(_split_id(id_)[1] for id_ in ids[1:])])


def _split_id(id_: str) -> tuple[str, str]:
    """Split an id after NET.STA.LOC. and return both parts."""
    parts = id_.split(".", 3)
    return id_[: len(id_) - len(parts[-1])], parts[-1]


def _group_by_family(
    style: str, stem: str, ids: list[str], rates_hz: Mapping[str, float], is_counted: bool
) -> list[tuple[str, ...]]:
    """Group channels of one stem; the family with most members comes first."""
    if style == "none":
        return [(id_,) for id_ in ids]
    sensors: list[tuple[str, ...]] = []
    left = list(ids)
    while left:
        letters: dict[str, str] = {}
        for id_ in left:  # of two ids with one letter (HHZ and HHz), the second is in another sensor
            letters.setdefault(parse_code(_split_id(id_)[1]).letter, id_)
        allowed = [
            family
            for family in FAMILIES
            if not (is_counted and family[0].isdigit()) and _is_allowed(family, style, stem, letters, rates_hz)
        ]
        family = max(allowed, key=lambda name: len(letters.keys() & set(name)), default="")
        sensor = tuple(letters[letter] for letter in family if letter in letters) or (left[0],)
        sensors.append(sensor)
        left = [id_ for id_ in left if id_ not in sensor]
    return sensors


def _is_allowed(family: str, style: str, stem: str, letters: Mapping[str, str], rates_hz: Mapping[str, float]) -> bool:
    """Whether the letters of a family may be components of channels with this stem."""
    if style == "number":
        return family in ("ENZ", "XYZ")
    if family[0].isdigit():
        return ("Z" in letters and "Z" in family) or (style == "seed" and _is_seismometer(stem, letters, rates_hz))
    return style == "seed" or family in ("ENZ", "XYZ") or (family == "RTZ" and "Z" in letters)


def _is_seismometer(stem: str, letters: Mapping[str, str], rates_hz: Mapping[str, float]) -> bool:
    """Whether the stem has the band and instrument codes of a seismometer, and not the name of a numbered channel."""
    low, high = _BANDS_HZ.get(stem[0].upper(), (math.inf, 0.0))
    fits = all(0.99 * low <= rates_hz[id_] <= high for id_ in letters.values())
    return stem[1].upper() in _SEISMOMETERS and stem.upper() != "CH" and fits

"""Find miniSEED records with possible headers that contradict the records around them.

miniSEED headers have no check sum. One wrong byte may give a record another id, time, rate, encoding or length. It then
stands alone, and where it should be there is a hole of just its number of samples. Real gaps are no such holes.
"""

from collections.abc import Iterator

import numpy as np

from geoae.readers.records.mseed_damage import count_records, describe_records, format_id, name_place

_STRAY = "the header contradicts the records before and after it"
_JUMP_US = 1e6
"""Clocks of recorders may jump by less than a second; a damaged byte of the date or time mostly changes more."""
_MAX_LONE = 50
"""With more ids of a single record, a file holds single records, and there is nothing to compare."""
_LEAST_HOST = 4
"""Records of an id that prove that a record between them is theirs."""
_COMPONENT = 9
"""Position of the last letter of the channel in the id, by which components differ."""


def find_strays(table: np.ndarray, name: str) -> tuple[np.ndarray, list[str], list[str]]:
    """Find records whose id, time, rate, encoding or length contradicts the records around them.

    Parameters
    ----------
    table
        Valid headers in the order of the file.
    name
        Name of the file, for the lines.

    Returns
    -------
    strays, losses, notes
        Mask of the rows that must not be used, lines on what is lost, and remarks on what may be wrong.
    """
    strays = np.zeros(len(table), bool)
    if len(table) < 2:
        return strays, [], []
    ids, number, counts = np.unique(table["id"], return_inverse=True, return_counts=True)
    order = np.argsort(number, kind="stable")
    # numbers are sorted many times faster than rows of several fields
    kind = number.astype(np.int64)
    for field in ("rate_hz", "encoding", "byteorder"):
        if (table[field] != table[field][0]).any():
            values, code = np.unique(table[field], return_inverse=True)
            kind = kind * len(values) + code
    _, kind, kind_counts = np.unique(kind, return_inverse=True, return_counts=True)
    is_lone_kind = kind_counts[kind] == 1
    shifted, jumps = _find_shifted(table, number, order, is_lone_kind)
    strays[shifted] = True
    losses, notes = [], []
    for row, host, is_sure in _find_renamed(table, number, counts):
        strays[row] |= is_sure
        if not is_sure:
            notes.append(
                f"{name}: {format_id(table['id'][row])} has 1 record, {name_place(table[row])}. It fits to the records "
                f"of {format_id(ids[host])}: is its id damaged?"
            )
    for rows in _by_id(table[is_lone_kind & ~strays & (counts[number] >= _LEAST_HOST)]):
        if len(rows) == 1:
            notes.append(
                f"{name}: {format_id(rows[0]['id'])}: 1 record has another rate or encoding than all others, "
                f"{name_place(rows[0])}. Is its header damaged?"
            )
    for rows in _by_id(table[strays]):
        losses.append(describe_records(name, list(rows), _STRAY))
    for rows in _by_id(table[jumps]):
        notes.append(
            f"{name}: {format_id(rows[0]['id'])}: {count_records(len(rows))} less than a second away from where the "
            "records before and after place it; the times of the headers are kept."
        )
    cut = _find_shortened(table, number, order)
    for rows in _by_id(table[cut]):
        n = int((rows["room"] - rows["n"]).sum())
        losses.append(
            f"{name}: {format_id(rows[0]['id'])}: {n} samples are missing after {len(rows)} of its records "
            f"({name_place(rows[0])}), which have just the room for them: the number of samples in the header is wrong."
        )
    return strays, losses, notes


def _find_shifted(
    table: np.ndarray, number: np.ndarray, order: np.ndarray, is_lone_kind: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of another time or kind than the hole that they leave, and rows that are less than a second beside it."""
    first, here, last = order[:-2], order[1:-1], order[2:]
    n = table["n"][here]
    fits = (number[first] == number[last]) & (n > 0) & (np.abs(_find_holes(table, first, last) - n) < 0.5)
    period_us = 1e6 / np.where(table["rate_hz"][first] > 0, table["rate_hz"][first], np.nan)
    shift_us = np.abs(table["start_us"][here] - table["end_us"][first] - period_us)
    is_other_kind = np.isnan(_find_holes(table, first, here))
    wrong = fits & np.where(is_other_kind, is_lone_kind[here], shift_us > _JUMP_US)
    jumps = fits & ~is_other_kind & (shift_us > 0.5 * period_us) & (shift_us <= _JUMP_US)
    return here[wrong], here[jumps]


def _find_renamed(table: np.ndarray, number: np.ndarray, counts: np.ndarray) -> list[tuple[int, int, bool]]:
    """Rows with an id of their own that differs in one byte from that of records which they continue in time.

    Returns
    -------
    list of (row, number of the other id, is_sure)
        It is sure that the id is damaged if the record fills a hole between records around it in the file. Ids that
        differ in the component only are left alone.
    """
    lone = np.flatnonzero((counts[number] == 1) & (table["n"] > 0) & (table["rate_hz"] > 0))
    if len(lone) > _MAX_LONE or len(lone) == len(table):
        return []
    letters = np.frombuffer(np.ascontiguousarray(table["id"]).tobytes(), np.uint8).reshape(-1, 12)
    found = []
    for row in lone.tolist():
        differs = (letters != letters[row]).astype(np.int64)
        if chr(letters[row, _COMPONENT]).isalnum():  # another component, rather than damage
            differs[:, _COMPONENT] *= 2
        for host in np.unique(number[(differs.sum(axis=1) == 1) & (counts[number] > 1)]).tolist():
            rows = np.flatnonzero(number == host)
            here = np.full(len(rows), row)
            follows = np.abs(_find_holes(table, rows, here)) < 0.5
            precedes = np.abs(_find_holes(table, here, rows)) < 0.5
            start, end = table["start_us"], table["end_us"]
            overlaps = (start[rows] <= end[row]) & (end[rows] >= start[row])
            if (follows | precedes).any() and not overlaps.any():
                fills_hole = follows[rows < row].any() and precedes[rows > row].any()
                found.append((row, host, bool(fills_hole and counts[host] >= _LEAST_HOST)))
                break
    return found


def _find_shortened(table: np.ndarray, number: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Rows without compression whose room that is left is just as long as the gap after them."""
    first, last = order[:-1], order[1:]
    left = (table["room"] - table["n"])[first]
    holes = np.where(number[first] == number[last], _find_holes(table, first, last), np.nan)
    return first[(left > 0) & (np.abs(holes - left) < 0.5)]


def _find_holes(table: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Number of samples that are missing between records a and b; NaN if their kinds differ."""
    rate = table["rate_hz"][a]
    alike = (rate == table["rate_hz"][b]) & (rate > 0) & (table["n"][a] > 0) & (table["n"][b] > 0)
    alike &= (table["encoding"][a] == table["encoding"][b]) & (table["byteorder"][a] == table["byteorder"][b])
    samples = (table["start_us"][b] - table["end_us"][a]) * rate / 1e6 - 1
    return np.where(alike, samples, np.nan)


def _by_id(rows: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of each id."""
    for id_ in dict.fromkeys(rows["id"].tolist()):
        yield rows[rows["id"] == id_]

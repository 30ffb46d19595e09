"""Decode Steim 1 and 2, in which differences of samples are packed into frames of 16 words.

The layout is that of the SEED manual, version 2.4, appendix B.
"""

from collections.abc import Sequence

import numpy as np

FRAME_BYTES = 64
_PACKINGS: dict[int, dict[tuple[int, int | None], tuple[int, int]]] = {
    # (version, code of the word, first two bits of the word): number of differences, bits of each
    1: {(1, None): (4, 8), (2, None): (2, 16), (3, None): (1, 32)},
    2: {
        (1, None): (4, 8), (2, 1): (1, 30), (2, 2): (2, 15), (2, 3): (3, 10),
        (3, 0): (5, 6), (3, 1): (6, 5), (3, 2): (7, 4),
    },
}  # fmt: skip


def decode_steim(
    payloads: Sequence[bytes], counts: Sequence[int], version: int
) -> tuple[list[np.ndarray | None], list[bool]]:
    """Decode the frames of several records at once.

    Parameters
    ----------
    payloads
        Whole frames of each record, big-endian.
    counts
        Number of samples of each record.
    version
        1 or 2.

    Returns
    -------
    samples
        int32 samples of each record; None for a record that cannot be decoded.
    agrees
        Whether the last sample of each record is that which its first frame tells.
    """
    is_whole = np.array([len(payload) % FRAME_BYTES == 0 and len(payload) > 0 for payload in payloads], bool)
    whole = [payload for payload, good in zip(payloads, is_whole, strict=True) if good]
    words = np.frombuffer(b"".join(whole), ">u4").astype(np.uint32).reshape(-1, FRAME_BYTES // 4)
    n_frames = np.array([len(payload) // FRAME_BYTES for payload in whole], np.int64)
    first_frames = np.cumsum(n_frames) - n_frames
    differences, held = _unpack_differences(words, version)
    sums, starts = np.cumsum(differences), np.zeros(len(whole), np.int64)
    if len(whole):
        per_record = np.add.reduceat(held, first_frames)
        starts = np.cumsum(per_record) - per_record
    samples: list[np.ndarray | None] = []
    agrees: list[bool] = []
    number = -1
    for good, n in zip(is_whole, counts, strict=True):
        number += bool(good)
        if not good or not 0 < n <= per_record[number]:
            samples.append(np.empty(0, np.int32) if n == 0 else None)
            agrees.append(n == 0)
            continue
        start, (first, last) = starts[number], words[first_frames[number], 1:3].astype(np.int32)
        found = (sums[start : start + n] - sums[start] + first).astype(np.int32)
        samples.append(found)
        agrees.append(bool(found[-1] == last))
    return samples, agrees


def _unpack_differences(words: np.ndarray, version: int) -> tuple[np.ndarray, np.ndarray]:
    """All differences of all frames, and their number in each frame."""
    codes = (words[:, :1] >> np.arange(30, -2, -2, dtype=np.uint32)) & 3
    counts = np.zeros(words.shape, np.int64)
    members = []
    for (code, prefix), (count, bits) in _PACKINGS[version].items():
        chosen = codes == code if prefix is None else (codes == code) & (words >> 30 == prefix)
        counts[chosen] = count
        members.append((np.flatnonzero(chosen), count, bits))
    first = np.cumsum(counts.ravel()) - counts.ravel()
    out = np.empty(int(counts.sum()), np.int64)
    for at, count, bits in members:
        values, mask, half = words.ravel()[at].astype(np.int64), (1 << bits) - 1, 1 << (bits - 1)
        for k in range(count):
            packed = (values >> (bits * (count - 1 - k))) & mask
            out[first[at] + k] = (packed ^ half) - half  # the highest bit is the sign
    return out, counts.sum(axis=1)

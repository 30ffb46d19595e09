"""Names of outputs in an SDS archive (SeisComP Data Structure): YEAR/NET/STA/CHA.TYPE/NET.STA.LOC.CHA.TYPE.YEAR.DAY.

Source: https://www.seiscomp.de/doc/base/concepts/waveformarchives.html
"""

import re
from collections.abc import Iterable
from pathlib import Path

from geoae.errors import InputError, OutputError

_DAY_FILE = re.compile(
    r"(?P<net>[^./]*)\.(?P<sta>[^./]+)\.(?P<loc>[^./]*)\.(?P<cha>[^./]+)\.(?P<type>[A-Z])\.(?P<year>\d{4})\.\d{3}"
)


def name_in_archive(inputs: Iterable[Path], root: str | Path) -> dict[Path, Path]:
    """Output of each day file: the same name in an archive below `root`, whose folders may not be there yet.

    Raises
    ------
    InputError
        An input does not have the name of a day file of an SDS archive, or `root` is not a folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"--sds writes an archive below a folder that is there: -o FOLDER/, not {root}.")
    names = {}
    for path in inputs:
        day = _DAY_FILE.fullmatch(path.name)
        if day is None:
            raise InputError(
                f"{path} is no day file of an SDS archive, whose name is NET.STA.LOC.CHA.D.YEAR.DAY. Leave --sds out."
            )
        names[path] = root / day["year"] / day["net"] / day["sta"] / f"{day['cha']}.{day['type']}" / path.name
    return names


def make_folders(outputs: Iterable[Path]) -> None:
    """Make the folders of outputs in an archive.

    Raises
    ------
    OutputError
        A folder cannot be made.
    """
    for folder in sorted({path.parent for path in outputs}):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"The folder {folder} for outputs cannot be made: {error.strerror}.") from error

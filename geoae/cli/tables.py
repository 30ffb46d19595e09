"""Tables and summary lines of the command line, as text."""

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoae import kinds

if TYPE_CHECKING:
    from geoae.jobs.fields.counts import FieldSummary
    from geoae.jobs.inspect import SourceContent
    from geoae.jobs.progress import FolderProgress
    from geoae.jobs.records.counts import RecordSummary
    from geoae.stores.ledger import Status


def summary_table(done: "RecordSummary | FieldSummary", dry_run: bool) -> str:
    """One line for each trace or variable of a run."""
    from geoae.jobs.records.counts import RecordSummary

    return _traces(done, dry_run) if isinstance(done, RecordSummary) else _variables(done, dry_run)


def _traces(done: "RecordSummary", dry_run: bool) -> str:
    has_doubts = not dry_run and any(line.doubtful for line in done.rows)
    columns = [] if dry_run else ["rms in", "rms out", "removed (dB)", *(["doubtful"] * has_doubts), "took (s)"]
    table = _table("trace", "samples", "gaps", *columns)
    for line in done.rows:
        values = [_level(line.rms_in), line.state or _level(line.rms_out)]
        values += [_number(line.removed_db, ".1f"), *([str(line.doubtful)] * has_doubts), f"{line.seconds:.2f}"]
        table.add_row(line.id, f"{line.samples:,}", str(line.gaps), *([] if dry_run else values))
    legend = (
        "rms: without drift (periods longer than about 20 s), in the units of the recording; "
        "removed: 20 log10(rms in / rms out)"
    )
    if has_doubts:
        legend += "; doubtful: spans of time with a transient in what was taken for noise"
    return _text(table) if dry_run else f"{_text(table)}\n{legend}"


def _variables(done: "FieldSummary", dry_run: bool) -> str:
    counted = [] if dry_run else ["missing", "std before", "std removed"]
    table = _table("variable", "dimensions", "slices", *counted, "units")
    for row in done.rows:
        values = [_number(100 * row.missing, ".1f") + "%", _level(row.std), _level(row.std_removed)]
        values = [value.replace("-%", "-") for value in values]
        table.add_row(row.name, row.dims, f"{row.slices:,}", *([] if dry_run else values), row.units)
    legend = "slices: over the horizontal dimensions; std: standard deviation of all samples that are not missing"
    return _text(table) if dry_run else f"{_text(table)}\n{legend}"


def format_outputs(done: "RecordSummary | FieldSummary", dry_run: bool) -> str:
    """The line on the outputs of a run, with the format of files, the model and the duration."""
    shown = [str(p) for p in done.outputs[:3]]
    more = [f"{len(done.outputs) - 3} more"] if len(done.outputs) > 3 else []
    named = f"{', '.join(shown)}{' and ' if more else ''}{''.join(more)}"
    if done.is_unchanged and not dry_run:
        return f"left as {'it was' if len(done.outputs) == 1 else 'they were'}: {named}"
    facts = [getattr(done, "format", ""), "" if dry_run else f"model {done.model}, {done.seconds:.1f} s"]
    by = "; ".join(fact for fact in facts if fact)
    return f"{'would write' if dry_run else 'wrote'} {named}{f' ({by})' if by else ''}"


def recording_table(source: str, content: "SourceContent") -> str:
    """The traces of a recording."""
    table = _table("id", "start (UTC)", "end (UTC)", "rate (Hz)", "samples", "gaps", "overlaps")
    for row in content.rows:
        start, end = (_time(t) for t in (row.start_ns, row.end_ns))
        numbers = f"{row.rate_hz:g}", f"{row.samples:,}", str(row.gaps), str(row.overlaps)
        table.add_row(row.id, start, end, *(("", "text", "", "") if row.text else numbers))
    n_ids = len({row.id for row in content.rows})
    ids, records = _count(n_ids, "id"), _count(content.records, "record")
    last = f"{ids}, denoised as {records} (a record is one sensor over one stretch of time)"
    return "\n".join([source, _text(table), last, *_list_sensors(content.sensors)])


def _list_sensors(sensors: Mapping[str, int]) -> list[str]:
    """A line for each sensor, with the components that are denoised together."""
    lines = [f"  {name}" + (f": {n} records" if n > 1 else "") for name, n in sensors.items()]
    return (
        lines
        if len(lines) <= MAX_SENSORS
        else [*lines[: MAX_SENSORS - 1], f"  ... and {len(lines) - MAX_SENSORS + 1} more"]
    )


def fields_table(source: str, content: "SourceContent") -> str:
    """The variables of a gridded data set."""
    table = _table("variable", "dimensions", "type", "units", "horizontal", "periodic", "time")
    for row in content.fields:
        table.add_row(row.name, row.dims, row.dtype, row.units, row.horizontal or "?", row.periodic or "-", row.time)
    last = f"{_count(len(content.fields), 'variable')}; samples were not read"
    return f"{source}\n{_text(table)}\n{last}"


def models_table(cards: Iterable[Mapping[str, Any]]) -> str:
    """One line for each model, of what `geoae.model.describe_model` gives."""
    table, lines = _table("model", "for", "digest", "rate Hz", "takes Hz", "what for"), list[str]()
    for facts in cards:
        c = facts["contract"]
        kind = kinds.find_kind(facts["kind"])
        rates = kinds.load_name(kind.rates)(c)
        table.add_row(c["name"], kind.data, facts["weights_sha256"][:12], *rates, c["summary"])
        if purposes := c.get("purposes"):
            shares = ", ".join(f"{name} {share:g}" for name, share in purposes.items())
            lines.append(f"{c['name']} --for (fraction of the noise that is kept): {shares}")
    return "\n".join([_text(table), *lines])


def status_table(store: Path, found: "Status") -> str:
    """Progress of a store, with its model and source."""
    n, settings = found.n_tasks, found.settings
    progress = f"finished, {_count(n, 'block')}" if found.finished else f"{found.n_done} of {_count(n, 'block')} done"
    models = [" ".join(str(settings[k]) for k in keys if k in settings)
              for keys in (("model", "digest"), ("partner", "partner_digest"))]  # fmt: skip
    facts = {"begun": found.started, "model": " + ".join(filter(None, models)),
             "source": settings.get("source", "")}  # fmt: skip
    return "\n".join([f"{store}: {progress}", *(f"  {name:6} {value}" for name, value in facts.items() if value)])


def folder_table(found: "FolderProgress") -> str:
    """Numbers of outputs in a folder, and a line for each that is not finished."""
    n, unfinished = len(found.stores), found.unfinished
    parts = [f"{_count(n, 'store')}, {n - len(unfinished)} finished"] if n else []
    if found.files:
        kinds = ", ".join(f"{number} {suffix}" for suffix, number in found.files.most_common())
        parts.append(f"{_count(found.files.total(), 'other file' if n else 'file')} ({kinds})")
    table = _table("unfinished", "blocks done", "of", "begun")
    for store in unfinished:
        table.add_row(str(store.path), str(store.n_done), str(store.n_tasks), store.started)
    for path in found.unfinished_files:
        table.add_row(str(path), "-", "-", "being written, or left by a killed run")
    lines = [f"{found.folder}: {'; '.join(parts) or 'nothing finished'}"]
    return "\n".join([*lines, _text(table)] if table.rows else lines)


MAX_SENSORS = 24
"""Largest number of sensors that `recording_table` lists."""
_WORDS = ("for", "what for")
"""Columns of words. The others hold numbers, which are aligned to the right."""


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 or name in _WORDS else "right", overflow="fold")
    return table


def _text(table: Any) -> str:
    from rich.console import Console

    # files and pipes get whole lines; ids and names are not rich markup
    console = Console(width=None if sys.stdout.isatty() else 1000, markup=False, emoji=False, highlight=False)
    _keep_words(table, console.width)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines() if line.strip())


def _keep_words(table: Any, width: int) -> None:
    """Break ids and times in a narrow terminal between words only, if the longest words leave room for each other."""
    cells = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    shortest = [max(len(word) for text in texts for word in text.split() or [""]) for texts in cells]
    widths = [max(map(len, texts)) for texts in cells]
    room = width - len(cells) - 1  # a blank between columns, and one at each end
    if sum(widths) + len(cells) - 1 <= room or sum(shortest) > room:
        return
    table.padding = 0
    while sum(widths) > room:
        widest = max((i for i in range(len(widths)) if widths[i] > shortest[i]), key=widths.__getitem__)
        widths[widest] -= 1
    for column, length in zip(table.columns, widths, strict=True):
        column.width = length


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _time(ns: int) -> str:
    if not datetime.min.year < (year := 1970 + ns / 31_556_952e9) < datetime.max.year:
        return f"year {year:.6g}"  # of a rate near zero; calendars end before
    fraction = f"{ns % 10**9 // 1000:06d}"
    digits = 3 if fraction.endswith("000") else 6
    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S") + f".{fraction[:digits]}"


def _number(value: float, style: str) -> str:
    text = format(value, style)
    return "-" if text == "nan" else text


def _level(value: float) -> str:
    """Four digits; levels of counts, up to ten million, without an exponent."""
    return _number(value, ",.0f" if 1e4 <= value < 1e7 else ".4g")

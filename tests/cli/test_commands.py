"""The command line: light to start, one sentence of help for each option, readable in 80 columns."""

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from obspy import Stream, Trace, UTCDateTime
from typer.main import get_command
from typer.testing import CliRunner

import geoae
from geoae.cli import app, main
from geoae.cli.help import EXAMPLES, GROUPS
from tests.conftest import tiny_model

START = UTCDateTime(2024, 1, 1)
COMMANDS = ["denoise", "info", "models", "status", "train", "evaluate"]


def invoke(*words, **environment):
    return CliRunner().invoke(app, [str(w) for w in words], env=environment)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny_model().save(folder, "# tiny")
    return folder


def recording(path: Path, n_stations: int = 1, n: int = 1500) -> Path:
    rng = np.random.default_rng(0)
    header = {"network": "XX", "starttime": START, "sampling_rate": 100.0}
    traces = [
        Trace(
            np.cumsum(rng.normal(size=n)).astype(np.float32), {**header, "station": f"ST{i:02d}", "channel": f"HH{c}"}
        )
        for i in range(n_stations)
        for c in "ENZ"
    ]
    Stream(traces).write(str(path), format="MSEED")
    return path


def test_help_starts_light():
    """No heavy library is loaded to say what there is."""
    code = (
        "import sys; from geoae.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'obspy', 'xarray', 'numpy', 'rich', 'pydantic'}\n"
        "print(heavy & set(sys.modules), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "set()"
    assert all(command in result.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_option(command):
    """Every option has one sentence that ends; defaults that are computed stand in brackets."""
    parameters = get_command(app).commands[command].params
    for parameter in parameters:
        text = getattr(parameter, "help", None)
        if parameter.name in ("help",) or text is None:
            continue
        sentence = re.sub(r" \[.*\]$", "", text)
        assert sentence.endswith("."), (parameter.name, text)
        assert text[0].isupper() or text.startswith(("auto", "validation")), (parameter.name, text)
        assert len(text) < 110, parameter.name
    assert invoke(command, "--help").exit_code == 0


@pytest.mark.parametrize("command", ["", *COMMANDS, "encode", "decode"])
def test_help_is_readable_in_80_columns(command):
    """-h is --help, as for most programs; options stand in groups, and two examples can be copied."""
    words = [command] if command else []
    long, short = (invoke(*words, name, COLUMNS="80") for name in ("--help", "-h"))
    assert long.exit_code == short.exit_code == 0
    assert long.stdout == short.stdout
    assert max(map(len, long.stdout.splitlines())) <= 80
    if command:
        assert "\nOptions:" not in long.stdout  # every option is in a group
        examples = long.stdout.partition("\nExamples:\n")[2].splitlines()
        assert examples == [f"  {line}" for line in EXAMPLES[command]]
        assert len(examples) == 2


def test_groups_of_options():
    """In the order of the table, each with the same columns."""
    lines = invoke("denoise", "--help", COLUMNS="80").stdout.splitlines()
    headings = [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Arguments", *GROUPS, "Examples"]
    column = {line.index(text) for line in lines for text in ("Replace existing", "CPU threads") if text in line}
    assert len(column) == 1


def test_examples_of_the_help_are_commands():
    """Each is parsed: the verb is there, its options too."""
    for verb, examples in EXAMPLES.items():
        for line in examples:
            _, name, *words = line.split()
            assert name == verb
            get_command(app).commands[name].make_context(name, words)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_verbs_options_and_values(shell):
    """Verbs, names of options, shipped models and words of options."""
    wanted = {
        "deno": "denoise",
        "denoise --batch": "--batch-size",
        "info --gr": "--group",
        "denoise --model sei": "seismic",
        "denoise --model see": "",
        "denoise --device c": "cuda",
        "evaluate --stations v": "validation",
    }
    for typed, completed in wanted.items():
        words = ["geoae", *typed.split()]
        environment = {"_GEOAE_COMPLETE": f"complete_{shell}", "COMP_WORDS": " ".join(words), "COMP_CWORD":
                       str(len(words) - 1), "_TYPER_COMPLETE_ARGS": " ".join(words),
                       "_TYPER_COMPLETE_FISH_ACTION": "get-args"}  # fmt: skip
        result = CliRunner().invoke(app, [], prog_name="geoae", env=environment)
        assert result.exit_code == 0
        assert completed in result.stdout
        assert bool(completed) == bool(result.stdout.strip("\n")) or shell == "zsh"


def test_version_and_no_command():
    """--version prints it; no command prints the help."""
    assert invoke("--version").stdout == f"geoae {geoae.__version__}\n"
    assert "denoise" in invoke().output


def test_summary_fits_a_terminal(tmp_path, model):
    """66 traces are 66 lines of at most 80 columns, with units and what was written; stderr stays empty."""
    path = recording(tmp_path / "x.mseed", 22, 300)
    result = invoke("denoise", path, "--model", model)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert len([line for line in lines if "XX.ST" in line]) == 66
    assert max(len(line) for line in lines if "XX.ST" in line) <= 80
    assert "removed (dB)" in lines[0]
    assert "20 log10(rms in / rms out)" in lines[-2]
    assert lines[-1].startswith("wrote ")


def test_summary_of_two_traces_and_numbers(tmp_path, model):
    """The table's numbers are those of the files."""
    path = recording(tmp_path / "x.mseed")
    lines = invoke("denoise", path, "--model", model).stdout.splitlines()
    from obspy import read

    before, after = (
        read(str(path))[0].data.astype(float),
        read(str(tmp_path / "x.denoised.mseed"))[0].data.astype(float),
    )
    row = next(line for line in lines if "HHE" in line).split()
    assert row[1:3] == ["1,500", "0"]
    # above the drift, which is a cubic through these 15 s
    t = np.linspace(-1, 1, len(before))
    rms_in, rms_out = (np.std(x - np.polyval(np.polyfit(t, x, 3), t)) for x in (before, after))
    assert [float(v) for v in row[3:6]] == pytest.approx(
        [rms_in, rms_out, 20 * np.log10(rms_in / rms_out)], rel=1e-2, abs=0.06
    )


def test_ids_by_either_name(tmp_path, model):
    """--id and --ids are one option, repeatable by both."""
    path = recording(tmp_path / "x.mseed")
    lines = invoke("denoise", path, "--model", model, "--id", "*E", "--ids", "*Z").stdout
    assert ("HHE" in lines, "HHN" in lines, "HHZ" in lines) == (True, False, True)


def test_info_and_models(tmp_path):
    """Both print a table; file names are no markup."""
    path = recording(tmp_path / "a[red]b.mseed")
    result = invoke("info", path)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == str(path)
    assert "2024-01-01 00:00:14.990 " in lines[3]
    assert lines[-2] == "3 ids, denoised as 1 record (a record is one sensor over one stretch of time)"
    assert invoke("models").exit_code == 0


def test_usage_errors_are_code_two():
    """Unknown options, missing arguments and words for numbers."""
    for words in (["denoise"], ["denoise", "x", "--foo"], ["denoise", "x", "--threads", "two"], ["nothing"]):
        result = invoke(*words)
        assert result.exit_code == 2
        assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("denoise x --batch-size -1", "batch size is -1"),
        ("denoise x --threads 0", "threads is 0"),
        ("denoise x --workers 0", "workers is 0"),
        ("denoise x --device gpu", "no device 'gpu'"),
        ("denoise x --device cuda:", "no device 'cuda:'"),
        ("denoise x --start-time yesterday", "start_time='yesterday' is no time"),
        ("denoise x --start-time 2024-02-02 --end-time 2024-02-01", "lies after the end time"),
        ("denoise x --id HHZ", "'HHZ' matches no id"),
        ("denoise x --id XX.A..HHZ.D", "matches no id"),
        ("denoise x --dry 2", "dry is 2"),
        ("denoise x --dry nan", "dry is nan"),
        ("denoise x --highpass 0", "highpass is 0; give a frequency in Hz"),
        ("denoise x --highpass -1", "highpass is -1"),
        ("denoise x --highpass nan", "highpass is nan"),
        ("denoise x --for picking --dry 0", "--for and --dry both"),
        ("denoise x --above-band stop", "above_band is 'stop'"),
        ("denoise x --cluster here", "no cluster 'here'"),
        ("denoise x --chunks time", "chunks 'time'"),
        ("denoise RECORDING --encoding MP3", "No encoding MP3"),
        ("denoise RECORDING --format MP3", "Unknown output format MP3"),
        ("encode x -o y.zarr --latent 0", "latent is 0"),
        ("encode x -o y.zarr --device x", "no device 'x'"),
        ("evaluate --data x --seed -1", "seed is -1"),
        ("evaluate --data x --stations mine", "stations is 'mine'"),
        ("evaluate --data x -n 0", "n is 0"),
        ("train x --data x -o y --steps 0", "steps is 0"),
        ("train x --data x -o y --device x", "no device 'x'"),
    ],
)
def test_wrong_values_of_options_are_one_line_and_code_two(tmp_path, monkeypatch, words, said):
    """Before anything is computed or written; code 1 is for faults of data and files."""
    monkeypatch.chdir(tmp_path)
    if "RECORDING" in words:
        recording(tmp_path / "RECORDING")
    result = invoke(*words.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.startswith("geoae: ")
    assert result.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"RECORDING"}


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes")
def test_output_that_cannot_be_encoded(tmp_path):
    """Names of any bytes, and a terminal that knows ASCII only, are no reason to fail."""
    path = recording(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mseed")))
    code = "from geoae.cli import main; main()"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, "info", path], capture_output=True, env=environment, check=False
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"XX.ST00..HHZ" in result.stdout


def test_main_is_the_entry_point():
    """pyproject names it."""
    (entry,) = entry_points(group="console_scripts", name="geoae")
    assert entry.load() is main

"""The groups of options in the help of a verb."""

from typer.main import get_command

from geoae.cli import app
from geoae.cli.help import EXAMPLES, GROUPS, find_group


def test_every_option_is_in_one_group():
    """And every name in the table is an option of some verb, so that the table cannot go stale."""
    commands = get_command(app).commands
    options = {p.name for command in commands.values() for p in command.params if p.param_type_name == "option"}
    named = [name for names in GROUPS.values() for name in names]
    assert len(named) == len(set(named))
    assert set(named) == options | {"help"}
    assert find_group("format_name") == "Output"
    assert find_group("unknown") == "Options"
    assert set(EXAMPLES) == set(commands)

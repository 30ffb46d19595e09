"""The table of layers in CONTRIBUTING.md, made from import-linter's configuration in pyproject.toml.

``python -m tests.contracts.layers`` writes it.
"""

import tomllib
from pathlib import Path

TOP = Path(__file__).parents[2]
BEGIN, END = "<!-- layers: begin -->", "<!-- layers: end -->"


def contracts() -> dict[str, dict]:
    """Contracts of import-linter by their type: layers, independence, ..."""
    settings = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {contract["id"]: contract for contract in settings["contracts"]}


def layers() -> list[list[str]]:
    """Folders of each layer, the highest first."""
    return [[name.strip() for name in layer.replace("|", ":").split(":")] for layer in contracts()["layers"]["layers"]]


def table() -> str:
    """The table, in Markdown."""
    settings = contracts()["layers"]["layers"]
    rows = [f"| {len(settings) - i} | {' '.join(f'`{name}`' for name in names)} |" for i, names in enumerate(layers())]
    return "\n".join(["| layer | folders |", "|---|---|", *rows])


def written(text: str) -> str:
    """What CONTRIBUTING.md holds between the two marks."""
    return text.partition(BEGIN)[2].partition(END)[0].strip()


if __name__ == "__main__":
    path = TOP / "CONTRIBUTING.md"
    text = path.read_text()
    before, _, rest = text.partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}")

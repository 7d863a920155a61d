"""T-Head PPU: chips of the catalogue; the tool is not read yet."""

from pathlib import Path

from fleetctl.plugin import Plugin

_HERE = Path(__file__).parent

plugin = Plugin(
    name="thead",
    title="T-Head PPU",
    chips=_HERE / "chips.csv",
)

"""AMD Instinct and Radeon: chips of the catalogue; the tool is not read yet."""

from pathlib import Path

from fleetctl.plugin import Plugin

_HERE = Path(__file__).parent

plugin = Plugin(
    name="amd",
    title="AMD Instinct and Radeon",
    chips=_HERE / "chips.csv",
    faults=_HERE / "faults.csv",
)

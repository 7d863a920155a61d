"""Moore Threads: chips of the catalogue; the tool is not read yet."""

from pathlib import Path

from fleetctl.plugin import Plugin

_HERE = Path(__file__).parent

plugin = Plugin(
    name="mthreads",
    title="Moore Threads",
    chips=_HERE / "chips.csv",
)

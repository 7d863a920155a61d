"""slurm: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="slurm", title="slurm")

"""Slurm as an outside scheduler: what it says of nodes, jobs and reservations, and how it is asked to act."""

from fleetctl.plugin import Plugin

plugin = Plugin(
    name="slurm",
    title="Slurm",
    doc="Slurm 22.05 to 26.05 through its own commands, over SSH to a login node or on this machine",
    backends={"slurm": "fleetctl_slurm.backend:SlurmBackend"},
)

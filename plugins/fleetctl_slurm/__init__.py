"""Slurm as an outside scheduler: what it says of nodes, jobs and reservations, and how it is asked to act."""

from fleetctl.plugin import Plugin

plugin = Plugin(
    name="slurm",
    title="Slurm",
    doc="Slurm 22.05 to 26.05 by its own commands, over SSH to a login node or here, or by slurmrestd from 24.11 on",
    backends={"slurm": "fleetctl_slurm.rest_backend:make_slurm"},
)

"""Node states, placement, draining; moves plans, leases and the queue along. `tick` is one step of everything."""

from fleetctl.scheduler.tick import TickResult, tick

__all__ = ["TickResult", "tick"]

"""Node states, placement, draining; moves plans, leases and the queue along. `tick.tick` is one step of everything."""

"""Node states, placement, draining."""

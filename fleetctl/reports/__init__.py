"""Health, capacity and availability over time."""

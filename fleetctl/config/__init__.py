"""fleet.toml -> one frozen Config."""

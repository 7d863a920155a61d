"""The SQLite file. The only SQL."""

from fleetctl.store.database import Database

__all__ = ["Database"]

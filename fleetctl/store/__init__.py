"""The SQLite file. The only SQL."""

"""Which hosts exist and where they stand."""

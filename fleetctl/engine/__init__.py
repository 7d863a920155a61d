"""The one process per database that polls and acts."""

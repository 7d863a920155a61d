"""Typer: one file per command group."""

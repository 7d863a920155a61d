"""Textual: the console."""

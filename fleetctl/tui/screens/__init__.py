"""Screens: each puts widgets together, asks the source for one view, and answers messages."""

"""Rows and columns per noun, for tables, JSON, CSV and screens alike."""

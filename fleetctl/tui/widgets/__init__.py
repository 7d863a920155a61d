"""Widgets: each shows what it was given and says what was asked of it; none reads the store."""

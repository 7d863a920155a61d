"""What to ask a host and how to read the answer."""

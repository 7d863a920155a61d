"""What to ask a host and how to read the answer: the host loop, its frames, and the standard Linux probes."""

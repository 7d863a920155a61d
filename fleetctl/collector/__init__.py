"""When to ask whom: rounds, spread, backoff, and what each host said as one batch per moment."""

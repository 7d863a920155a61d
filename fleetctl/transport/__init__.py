"""How to reach a machine. The only network of the core."""

"""The nouns: frozen dataclasses and enums, nothing else."""

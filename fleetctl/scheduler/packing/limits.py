"""A limit of power or cooling over nodes, as placement counts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """what: in words, `feed lg-a-A`; left_w: what it still bears; shares: node -> part of a node's draw that counts."""

    what: str
    left_w: float
    shares: Mapping[str, float]

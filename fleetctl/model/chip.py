"""A kind of accelerator, as the catalogue knows it, and how the name a tool prints finds it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

PRECISIONS = ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8")


class Confidence(StrEnum):
    """How far a catalogue entry may be trusted."""

    HIGH = "high"  # maker's figures or several sources that agree
    LOW = "low"  # one weak source, or sources that differ; see the note
    OWN = "own"  # set by the operator
    NONE = "none"  # no figure of compute at all


@dataclass(frozen=True, slots=True)
class Chip:
    """One entry. Peaks are dense, per whole card as the maker sells it, TFLOPS (int8: TOPS); a missing one is unknown.

    names: as tools print them; memory_mib: what tools print as its memory, per row; power_w: of the board; power_caps_w:
    caps seen, tell apart editions of one name; rows: how many rows of a tool make one card (dual-die boards).
    """

    vendor: str
    chip: str
    names: tuple[str, ...] = ()
    memory_gb: float | None = None
    memory_mib: tuple[float, ...] = ()
    power_w: float | None = None
    power_caps_w: tuple[float, ...] = ()
    rows: int = 1
    peaks: dict[str, float] = field(default_factory=dict)
    confidence: Confidence = Confidence.NONE
    source: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Resolution:
    """chip: the one entry, or None; candidates: what the name could mean when it could mean several."""

    chip: Chip | None
    candidates: tuple[Chip, ...] = ()


# Makers' words that some tools print and others leave out.
_NOISE = frozenset(
    [
        "nvidia",
        "tesla",
        "geforce",
        "amd",
        "radeon",
        "instinct",
        "huawei",
        "ascend",
        "iluvatar",
        "metax",
        "mthreads",
        "enflame",
        "intel",
        "r",
        "tm",
        "corex",
    ]
)


def plain_name(name: str) -> tuple[str, ...]:
    """The words that tell: `NVIDIA A100-SXM4-80GB` -> a100, sxm4, 80gb; a name cut by a table ends in `...`."""
    words = re.sub(r"[^0-9a-z]+", " ", name.lower().replace("_", " ")).split()
    return tuple(w for w in words if w not in _NOISE) or tuple(words)


class Catalogue:
    """All chips; later entries win over earlier ones of the same vendor and chip (the operators' file comes last)."""

    def __init__(self, chips: Iterable[Chip]) -> None:
        entries: dict[tuple[str, str], Chip] = {}
        for chip in chips:
            entries[(chip.vendor, chip.chip)] = chip
        self.chips = tuple(entries.values())
        self._by_name: dict[str, list[Chip]] = {}
        for chip in self.chips:
            for key in dict.fromkeys("".join(plain_name(n)) for n in (*chip.names, chip.chip)):
                self._by_name.setdefault(key, []).append(chip)
        self._seen: dict[tuple[str | None, str, float | None, float | None], Resolution] = {}

    def resolve(
        self,
        model: str | None,
        *,
        vendor: str | None = None,
        memory_bytes: float | None = None,
        power_cap_w: float | None = None,
    ) -> Resolution:
        """The entry a printed name means. Memory and power cap only choose between entries that share the name."""
        if not model:
            return Resolution(None)
        key = (vendor, model, memory_bytes, power_cap_w)
        found = self._seen.get(key)
        if found is None:
            if len(self._seen) > 10_000:
                self._seen.clear()
            found = self._seen[key] = self._resolve(model, vendor, memory_bytes, power_cap_w)
        return found

    def _resolve(
        self, model: str, vendor: str | None, memory_bytes: float | None, power_cap_w: float | None
    ) -> Resolution:
        wanted = "".join(plain_name(model))
        if model.rstrip().endswith(("...", "…")):
            found = [c for n, cs in self._by_name.items() if n.startswith(wanted) for c in cs]
        else:
            found = list(self._by_name.get(wanted, ()))
        found = _unique(found)
        if vendor is not None:
            found = [c for c in found if c.vendor == vendor]
        if len(found) > 1 and memory_bytes:
            fitting = [c for c in found if _memory_fits(c, memory_bytes / 2**20)]
            found = fitting or found
        if len(found) > 1 and power_cap_w:
            fitting = [c for c in found if power_cap_w in (*c.power_caps_w, c.power_w)]
            found = fitting or found
        return Resolution(found[0]) if len(found) == 1 else Resolution(None, tuple(found))


def _unique(chips: list[Chip]) -> list[Chip]:
    seen: dict[tuple[str, str], Chip] = {(c.vendor, c.chip): c for c in chips}
    return list(seen.values())


def _memory_fits(chip: Chip, mib: float) -> bool:
    """Within a tenth of what tools print or of what is sold (reserved memory, GB or GiB)."""
    sizes = list(chip.memory_mib) + ([chip.memory_gb * 1024 / chip.rows] if chip.memory_gb else [])
    return any(abs(mib - size) <= 0.1 * size for size in sizes)

"""How one simulated host behaves: a pure function of seed, name and time, so that every run and every reader agree.

Load comes in jobs that neighbours share, power follows load, heat follows power with inertia, and now and then
something breaks. Nothing is stored: ask for any moment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

from fleetctl_demo.fleets import CardType

JOB_S = 1500.0  # mean length of a job's slot
EPISODE_S = 900.0  # how long one fault lasts

FAULTS: dict[str, str] = {
    "down": "the host does not answer",
    "hang": "the vendor's tool hangs; the host answers",
    "lost": "one card falls off the bus",
    "hot": "one card runs hot: a fan or a cold plate fails",
    "ecc": "one card counts uncorrected memory errors",
    "disk": "the root file system runs full",
    "skew": "the clock is minutes off",
    "auth": "the host refuses our key",
    "garbage": "the host answers with noise",
}
# Chance of an episode per host and EPISODE_S: about one host in twelve shows something at any time, enough to look at.
_BACKGROUND = {"down": 0.015, "hang": 0.015, "lost": 0.012, "hot": 0.02, "ecc": 0.008, "disk": 0.008, "skew": 0.004}


@dataclass(frozen=True, slots=True)
class Card:
    """One simulated card now. Values as its tool would print them; None: the tool cannot tell."""

    index: int
    type: CardType
    uuid: str
    serial: str
    pci: str
    util_pct: int
    mem_used_mib: int
    power_w: float
    temp_c: int
    mem_temp_c: int
    clock_mhz: int
    ecc_corrected: int
    ecc_uncorrected: int
    lost: bool = False
    processes: tuple[tuple[int, str, int], ...] = ()  # pid, name, MiB


@dataclass(frozen=True, slots=True)
class Machine:
    """One simulated host. neighbours: hosts that share a job with it carry the same word (their rack)."""

    name: str
    seed: int
    card: CardType | None
    cards: int
    neighbours: str
    faults: frozenset[str] = frozenset()  # faults that are on all the time (--fault)
    cores: int = 192
    mem_bytes: int = 2048 * 2**30
    model: str = ""
    calm: bool = False  # nothing breaks by itself
    ended: set[int] = field(default_factory=set, compare=False)  # processes somebody has ended: their cards stay idle

    def fault(self, now: float) -> frozenset[str]:
        """Faults that are on at this moment."""
        episode = int(now // EPISODE_S)
        found = set(self.faults)
        for kind, chance in _BACKGROUND.items() if not self.calm else ():
            if self.card is None and kind in ("hang", "lost", "hot", "ecc"):
                continue
            if fate(self.seed, self.name, kind, episode) < chance:
                found.add(kind)
        return frozenset(found)

    def load(self, now: float) -> float:
        """Share of the host that works, 0..1: what its neighbours' job wants, with a ramp at each end."""
        slot, inside = divmod(now + JOB_S * fate(self.seed, self.neighbours, "phase"), JOB_S)
        here, before = self._job(int(slot)), self._job(int(slot) - 1)
        return before + (here - before) * min(1.0, inside / 60.0)

    def _job(self, slot: int) -> float:
        draw = fate(self.seed, self.neighbours, "job", slot)
        return 0.0 if draw < 0.22 else (0.35 + draw / 2 if draw < 0.45 else 0.88 + draw / 10)

    def cards_at(self, now: float) -> list[Card]:
        """All cards, the lost one included and marked."""
        if self.card is None:
            return []
        faults = self.fault(now)
        broken = int(fate(self.seed, self.name, "which", int(now // EPISODE_S)) * self.cards)
        load, before = self.load(now), self.load(now - 90.0)
        return [self._card(i, now, load, before, faults if i == broken else frozenset()) for i in range(self.cards)]

    def _card(self, i: int, now: float, load: float, before: float, faults: frozenset[str]) -> Card:
        kind = self.card
        assert kind is not None  # cards_at asks only where there are cards
        own, serial, uuid = _identity(self.seed, self.name, i)
        wave = math.sin(now / (23.0 + 7 * own) + 6.3 * own) * 0.04 + math.sin(now / 3.7 + 40 * own) * 0.02
        pid = 20000 + int(own * 9000) + i
        util = 0.0 if load < 0.02 or pid in self.ended else max(0.02, min(1.0, load + wave))
        heat = 0.35 * util + 0.65 * before  # the core follows power within seconds, the heat sink within minutes
        power = kind.idle_w + (kind.cap_w * 0.94 - kind.idle_w) * util**0.9 * (0.97 + 0.06 * own)
        temp = 28 + 5 * own + (38 + 4 * own) * heat + (24 if "hot" in faults else 0)
        mem = 0.006 if util == 0 else 0.55 + 0.4 * load - 0.08 * own
        used = int(kind.mem_mib * min(0.985, mem))
        return Card(
            index=i,
            type=kind,
            uuid=uuid,
            serial=serial,
            pci=f"0000:{0x1A + 0x11 * i:02x}:00.0",
            util_pct=round(100 * util),
            mem_used_mib=used,
            power_w=round(power, 2),
            temp_c=round(temp),
            mem_temp_c=round(temp + 6 + 6 * heat),
            clock_mhz=int(kind.clock_mhz * (0.96 if util > 0.5 else 0.2 if util == 0 else 0.9)),
            ecc_corrected=int(own * 3),
            ecc_uncorrected=2 if "ecc" in faults else 0,
            lost="lost" in faults,
            processes=((pid, "python3 train.py", used - 400),) if util > 0 and used > 400 else (),
        )


@lru_cache(maxsize=200_000)
def _identity(seed: int, name: str, index: int) -> tuple[float, str, str]:
    """(a number in 0..1 that stays this card's own, serial, UUID)."""
    digest = blake2b(f"{seed} {name} {index}".encode(), digest_size=24).hexdigest()
    uuid = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
    return int(digest[32:40], 16) / 2**32, f"{int(digest[:12], 16) % 10**13:013d}", uuid


@lru_cache(maxsize=400_000)
def fate(*parts: object) -> float:
    """A number in 0..1 that depends on nothing but the parts."""
    digest = blake2b("\0".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64

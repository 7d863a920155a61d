"""Slurm's words: states with their flags, moments, generic resources, hostlists."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from fleetctl.errors import UsageError
from fleetctl.model.states import Admin

# What counts as an accelerator among generic resources. Shares of cards (mps, shard) and licences do not.
PARTS = ("shard", "mps")  # generic resources that are parts of a card; the first is better: it says which card
ACCELERATORS = frozenset({"gpu", "npu", "mlu", "dcu", "gcu", "xpu", "hpu", "ppu", "tpu", "accel"})
NOBODY = frozenset({"", "unknown", "none", "n/a", "(null)"})
_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")
_HOSTLIST = re.compile(r"[A-Za-z0-9._\[\],-]+")
_GRES = re.compile(r"(?:gres[:/])?([a-z_]+)(?::([A-Za-z0-9_.+-]+?))??(?:[:=](\d{1,9}))?", re.IGNORECASE)
MAX_HOSTS = 200_000


_HELD = frozenset({"drain", "draining", "drained", "drng", "fail", "failing", "failg"})
_WORKING = frozenset({"allocated", "mixed", "completing", "alloc", "mix", "comp"})
_FREE = frozenset({"idle", "planned", "plnd", "reserved", "resv"})
_UNKNOWN = frozenset({"unknown", "unk"})
_MAINT = frozenset({"maint", "maintenance"})
_INVALID = frozenset({"inval", "invalid_reg", "blocked"})
# What `sinfo` and `scontrol` write behind a word.
_SUFFIXES = {
    "*": "not_responding", "~": "powered_down", "#": "powering_up", "!": "power_down", "%": "powering_down",
    "$": "maintenance", "@": "reboot_requested", "^": "reboot_issued", "-": "planned_next",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node's state as `sinfo -O StateComplete` prints it, taken apart. base: idle, mixed, allocated, down, unknown ...;
    words: that and the flags, whose order says nothing.

    Source: `man sinfo`, NODE STATE CODES, 22.05 to 26.05.
    """

    base: str
    words: frozenset[str]

    @property
    def held(self) -> bool:
        """Is it out by a hold that `state=resume` takes away?"""
        return bool(self.words & _HELD)

    @property
    def down(self) -> bool:
        return "down" in self.words

    @property
    def responding(self) -> bool | None:
        """Does its slurmd answer? None: not known for the moment, as after a resume (`idle*`) or a controller's start."""
        if "not_responding" in self.words:
            return False if self.down else None
        return None if self.words & _UNKNOWN else True


def parse_state(text: str) -> NodeState:
    """`mixed+drain+not_responding`, also `IDLE*+DRAIN` and `DOWN*`. Unknown words are kept as they are."""
    words: list[str] = []
    more: set[str] = set()
    for word in text.strip().lower().split("+"):
        while word and word[-1] in _SUFFIXES:
            more.add(_SUFFIXES[word[-1]])
            word = word[:-1]
        words.append(word)
    return NodeState(words[0], frozenset({w for w in words if w} | more))


def is_busy(state: NodeState, allocated_cpus: int | None) -> bool | None:
    """Does work of Slurm run there? None while the controller does not know."""
    if state.words & _WORKING or allocated_cpus:
        return True
    if state.words & _UNKNOWN:
        return None
    return None if not state.words & _FREE and allocated_cpus is None else False


def admin_of(state: NodeState, busy: bool | None) -> Admin:
    """May Slurm give it work, in our words.

    A node that only does not answer is in service: that is a matter of reach, and it comes back by itself. A state
    nobody knows takes no work: blind is never green. A flag nobody knows says nothing: every release has more of them.
    """
    if state.held:
        return Admin.DRAINED if busy is False else Admin.DRAINING
    if state.words & _MAINT:
        return Admin.MAINTENANCE
    if state.words & {"future", "futr"}:
        return Admin.STAGED
    if state.down:
        return Admin.IN_SERVICE if "not_responding" in state.words else Admin.CORDONED
    if state.words & (_WORKING | _FREE | _UNKNOWN):
        return Admin.CORDONED if state.words & _INVALID else Admin.IN_SERVICE
    return Admin.CORDONED


@lru_cache(4096)
def parse_moment(text: str) -> int | None:
    """`2026-11-21T23:42:09` in UTC -> epoch seconds; None for Unknown, N/A, NONE and anything else."""
    match = _MOMENT.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
    except (ValueError, OverflowError):
        return None


def known_name(text: str) -> str:
    """A name, or "" where Slurm means nobody."""
    return "" if text.strip().lower() in NOBODY else text.strip()


@lru_cache(4096)
def count_cards(text: str) -> int | None:
    """Accelerators in a list of generic resources: `gpu:h100:8(S:0-1),npu:0` is 8. None when it names none.

    Also `gres/gpu:h100:8`, `gres:gpu:4` and tracked resources (`cpu=8,gres/gpu=8,gres/gpu:h100=8`, where the untyped
    figure is the sum of the typed ones).
    """
    plain: dict[str, int] = {}
    typed: dict[str, int] = {}
    for item in re.sub(r"\([^()]*\)", "", text).split(","):
        match = _GRES.fullmatch(item.strip())
        if match is None or match[1].lower() not in ACCELERATORS:
            continue
        name, kind, number = match[1].lower(), match[2], match[3]
        if number is None and kind is not None and kind.isdecimal() and len(kind) < 10:
            kind, number = None, kind
        where = typed if kind else plain
        where[name] = where.get(name, 0) + (int(number) if number else 1)
    names = {*plain, *typed}
    return sum(max(plain.get(n, 0), typed.get(n, 0)) for n in names) if names else None


@lru_cache(4096)
def card_name(text: str) -> str:
    """`gpu:h100:8(S:0-1)` -> gpu. "" where it names no accelerators, or of several names."""
    items = re.sub(r"\([^()]*\)", "", text).split(",")
    names = {i.strip().partition(":")[0].lower() for i in items if count_cards(i)} & ACCELERATORS
    return names.pop() if len(names) == 1 else ""


@lru_cache(4096)
def parts_of(text: str) -> str:
    """How cards of a node may be shared: `gpu:h100:8,shard:h100:32` -> shard:4, so many parts to a card. "" where not."""
    cards = count_cards(text) or 0
    totals = {}
    for item in re.sub(r"\([^()]*\)", "", text).split(","):
        match = _GRES.fullmatch(item.strip())
        name = match[1].lower() if match else ""
        if match is not None and name in PARTS:
            totals[name] = totals.get(name, 0) + int(match[3] or (match[2] if (match[2] or "").isdecimal() else 0))
    name = next((name for name in PARTS if cards and totals.get(name, 0) >= cards), "")
    return f"{name}:{totals[name] // cards}" if name else ""


def count_allocated_cpus(text: str) -> int | None:
    """`2/0/94/96` (allocated, idle, other, total) -> 2."""
    head, slash, _ = text.partition("/")
    return int(head) if slash and head.isdecimal() and len(head) < 9 else None


def is_name(text: str) -> bool:
    """Could this be the name of a node, user or reservation?"""
    return _NAME.fullmatch(text) is not None


def expand_hosts(text: str) -> tuple[str, ...]:
    """`osl-[01-03],b` -> its names; () for nobody and for what is no hostlist."""
    text = text.strip()
    if text.lower() in NOBODY or not _HOSTLIST.fullmatch(text):
        return ()
    if "[" not in text:
        return tuple(n for n in text.split(",") if n)
    from fleetctl.inventory.nodesets import expand

    try:
        return tuple(expand(text, limit=MAX_HOSTS))
    except UsageError:
        return ()

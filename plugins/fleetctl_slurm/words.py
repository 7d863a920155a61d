"""Slurm's words: states with their flags, moments, generic resources, hostlists."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from fleetctl.errors import UsageError
from fleetctl.model.states import Admin

# What counts as an accelerator among generic resources. Shares of cards (mps, shard) and licences do not.
ACCELERATORS = frozenset({"gpu", "npu", "mlu", "dcu", "gcu", "xpu", "hpu", "ppu", "tpu", "accel"})
NOBODY = frozenset({"", "unknown", "none", "n/a", "(null)"})
_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")
_HOSTLIST = re.compile(r"[A-Za-z0-9._\[\],-]+")
_GRES = re.compile(r"(?:gres[:/])?([a-z_]+)(?::([A-Za-z0-9_.+-]+?))??(?:[:=](\d{1,9}))?", re.IGNORECASE)
MAX_HOSTS = 200_000


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node's state as `sinfo -O StateComplete` prints it, taken apart. base: idle, mixed, allocated, down, unknown ...

    Source: `man sinfo`, NODE STATE CODES, 22.05 to 26.05.
    """

    base: str
    flags: frozenset[str]

    @property
    def held(self) -> bool:
        """Is it out by a hold that `state=resume` takes away?"""
        return bool(self.flags & {"drain", "fail"}) or self.base in ("drain", "draining", "drained", "fail", "failing")

    @property
    def responding(self) -> bool | None:
        """Does its slurmd answer? None: not known for the moment, as after a resume (`idle*`) or a controller's start."""
        if "not_responding" in self.flags:
            return False if self.base == "down" else None
        return None if self.base == "unknown" else True


def parse_state(text: str) -> NodeState:
    """`mixed+drain+not_responding`, also `IDLE*+DRAIN` and `DOWN*`. Unknown words are kept as they are."""
    base, *flags = text.strip().lower().split("+")
    found = {f for f in flags if f}
    while base and base[-1] in "*~#%!$@^-":
        found.add({"*": "not_responding", "$": "maint", "~": "powered_down"}.get(base[-1], "other"))
        base = base[:-1]
    return NodeState(base, frozenset(found))


_WORKING = frozenset({"allocated", "mixed", "completing", "alloc", "mix", "comp"})
_FREE = frozenset({"idle", "planned", "reserved"})


def is_busy(state: NodeState, allocated_cpus: int | None) -> bool | None:
    """Does work of Slurm run there? None while the controller does not know."""
    if state.base in _WORKING or "completing" in state.flags or allocated_cpus:
        return True
    if state.base == "unknown":
        return None
    return None if state.base not in _FREE and allocated_cpus is None else False


def admin_of(state: NodeState, busy: bool | None) -> Admin:
    """May Slurm give it work, in our words.

    A node that only does not answer is in service: that is a matter of reach, and it comes back by itself. A word
    nobody knows takes no work: blind is never green.
    """
    if state.held:
        return Admin.DRAINED if busy is False else Admin.DRAINING
    if state.flags & {"maint", "maintenance"} or state.base == "maint":
        return Admin.MAINTENANCE
    if state.base == "future":
        return Admin.STAGED
    if state.base in _WORKING | _FREE | {"unknown"}:
        return Admin.CORDONED if state.flags & {"inval", "invalid_reg", "blocked"} else Admin.IN_SERVICE
    if state.base == "down" and "not_responding" in state.flags:
        return Admin.IN_SERVICE
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
        if number is None and kind is not None and kind.isdecimal():
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

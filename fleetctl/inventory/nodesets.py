"""Node sets as ClusterShell writes them: `gpu[001-128]`, `@rack12`, `,` union, `!` minus, `&` and, `^` either.

ClusterShell does the set algebra; this page only bounds what it may expand to and words its errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from fleetctl.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from ClusterShell.NodeUtils import GroupResolver

MAX_NODES = 200_000  # of one expression: twice the largest pool anybody runs
MAX_TEXT = 1_000_000

_RANGE = re.compile(r"\[([^\[\]]*)\]")
_WORD = re.compile(r"(?:\[[^\[\]]*\]|[^,\s!&^])+")  # separators inside brackets are the range's own
_GROUP = re.compile(r"@([A-Za-z0-9_.*-]+)")


def expand(text: str, groups: Mapping[str, str] | None = None, *, limit: int = MAX_NODES) -> list[str]:
    """Names in the set, in ClusterShell's order. `groups`: name -> node set, for @name.

    Raises UsageError when the text is no node set or expands to more than `limit`, NotFoundError for an unknown group.
    """
    _check_length(text)
    if (plain := _plain_names(text, limit)) is not None:
        return plain
    _check_size(text, limit)
    from ClusterShell.NodeSet import NodeSet, NodeSetException
    from ClusterShell.NodeUtils import GroupSourceError

    named = _GROUP.findall(text)
    if text.count("@") != len(named):  # ClusterShell would give nothing, or the names of all groups
        raise UsageError(f"{_short(text)}: an @ without the name of a group", hint="@rack12, @train")
    for name in named:
        if name not in (groups or {}):
            known = ", ".join(f"@{group}" for group in sorted(groups or {})[:12]) or "none"
            raise NotFoundError(f"no group named @{name}", hint=f"groups of this fleet: {known}")
        _check_size((groups or {})[name], limit)
    try:
        found = NodeSet(text, resolver=_resolver(groups or {}))
        if len(found) > limit:
            raise UsageError(f"{_short(text)} names {len(found):,} nodes; at most {limit:,} are allowed")
        return [str(name) for name in found]
    except (NodeSetException, GroupSourceError, ValueError, RecursionError, OverflowError) as error:
        raise UsageError(
            f"{_short(text)} is not a node set: {error}", hint="write gpu[001-128], gpu1,gpu7, @rack12 or @train!gpu7"
        ) from error


def _plain_names(text: str, limit: int) -> list[str] | None:
    """The names of `gpu001` and `gpu[001-128,130]`, without loading ClusterShell: most fleet files hold nothing else, a
    thousand racks of them. None for all other syntax, uneven padding, ranges out of order, and more names than the limit."""
    if _NAME.fullmatch(text):
        return [text]
    if (match := _PLAIN.fullmatch(text)) is None:
        return None
    prefix, inside = match.groups()
    numbers = re.findall(r"\d+", inside)
    if any(number[0] == "0" for number in numbers) and len({len(number) for number in numbers}) > 1:
        return None
    names: list[str] = []
    width, before = len(numbers[0]), -1
    for part in inside.split(","):
        low, _dash, high = part.partition("-")
        first, last = int(low), int(high or low)
        if not before < first <= last or len(names) + last - first >= limit:
            return None
        names += [f"{prefix}{number:0{width}}" for number in range(first, last + 1)]
        before = last
    return names


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_PLAIN = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*(?<![0-9]))\[(\d{1,9}(?:-\d{1,9})?(?:,\d{1,9}(?:-\d{1,9})?)*)\]")


def fold(names: Iterable[str]) -> str:
    """Names -> the shortest node set: gpu001, gpu002, gpu003 -> gpu[001-003]. "" for none."""
    plain: dict[tuple[str, int], list[int]] = {}
    odd: set[str] = set()  # names ClusterShell would read as syntax
    bare: list[str] = []
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match is not None:
            plain.setdefault((match[1], len(match[2])), []).append(int(match[2]))
        elif _SAFE.fullmatch(name):
            bare.append(name)
        else:
            odd.add(name)
    # ClusterShell takes names one by one and needs half a second for 12,500; ranges it takes as they are.
    ranges = [_bracket(prefix, _ranges(numbers, width)) for (prefix, width), numbers in plain.items()]
    folded = ",".join([*ranges, *bare])
    if len(ranges) + len(bare) > 1:  # what has one prefix and one width is folded already
        from ClusterShell.NodeSet import NodeSet

        folded = str(NodeSet(folded, resolver=_resolver({})))
    return ",".join([folded, *sorted(odd)] if folded else sorted(odd))


_NUMBERED = re.compile(r"([A-Za-z0-9._-]*?)(\d{1,15})")
_SAFE = re.compile(r"[A-Za-z0-9._-]+")


def _bracket(prefix: str, numbers: str) -> str:
    return prefix + (numbers if numbers.isdigit() else f"[{numbers}]")


def _ranges(numbers: list[int], width: int) -> str:
    """Numbers of one width -> `001-003,007`."""
    parts: list[str] = []
    ordered = sorted(set(numbers))
    start = 0
    for at in range(1, len(ordered) + 1):
        if at == len(ordered) or ordered[at] != ordered[at - 1] + 1:
            first, last = f"{ordered[start]:0{width}}", f"{ordered[at - 1]:0{width}}"
            parts.append(first if first == last else f"{first}-{last}")
            start = at
    return ",".join(parts)


def _check_length(text: str) -> None:
    if len(text) > MAX_TEXT:
        raise UsageError(f"a node set of {len(text):,} characters is too long", hint="fold it: gpu[0001-9999]")


def _check_size(text: str, limit: int) -> None:
    """Refuse `gpu[1-99999999]` before anything is expanded."""
    _check_length(text)
    for word in _WORD.findall(text):
        size = 1
        for inside in _RANGE.findall(word):
            size *= max(1, sum(_range_size(part) for part in inside.split(",")))
        if size > limit:
            raise UsageError(f"{_short(word)} names {size:,} nodes; at most {limit:,} are allowed")


def _range_size(part: str) -> int:
    match = re.fullmatch(r"\s*(\d{1,18})-(\d{1,18})(?:/(\d{1,9}))?\s*", part)
    if match is None:
        return 1
    low, high, step = int(match[1]), int(match[2]), int(match[3] or 1)
    return max(0, high - low) // max(step, 1) + 1


def _resolver(groups: Mapping[str, str]) -> GroupResolver:
    from ClusterShell.NodeUtils import GroupResolver, GroupSource

    source = GroupSource("fleet", groups=dict(groups), allgroups=groups.get("*"))
    return GroupResolver(source)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")

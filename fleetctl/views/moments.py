"""How people write times: `2h`, `+90m`, `22:00`, `2026-01-31`, `2026-01-31T22:00`, with or without an offset."""

from __future__ import annotations

from datetime import datetime, timedelta

from fleetctl.errors import UsageError
from fleetctl.views.units import parse_duration

_HINT = "write 2h, +90m, 22:00, 2026-01-31T22:00 or 2026-01-31T22:00+08:00"


def duration_s(text: str) -> int | None:
    """Seconds of `90m`, `2h`, `3d`; None for "none" (no end). Raises UsageError."""
    if text.strip().lower() in ("none", "open", "forever"):
        return None
    seconds = parse_duration(text.strip().lstrip("+"))
    if seconds is None or seconds <= 0:
        raise UsageError(f"{text!r} is no length of time", hint="write 90m, 2h, 3d, or none for no end")
    return int(seconds)


def moment(text: str, now: float) -> float:
    """Epoch seconds. A bare time of day is the next one; times without an offset are local. Raises UsageError."""
    words = text.strip()
    seconds = parse_duration(words.lstrip("+"))
    if seconds is not None:
        return now + seconds
    here = datetime.fromtimestamp(now).astimezone()
    try:
        clock = datetime.strptime(words, "%H:%M").time()
    except ValueError:
        clock = None
    if clock is not None:
        at = here.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
        return (at if at > here else at + timedelta(days=1)).timestamp()
    try:
        parsed = datetime.fromisoformat(words)
    except ValueError:
        raise UsageError(f"{text!r} is no time", hint=_HINT) from None
    return (parsed if parsed.tzinfo else parsed.astimezone()).timestamp()

"""The body of a frame -> what each probe said, with the texts that did not travel put back.

One `Texts` per host remembers the last text of each probe: a section marked `same` or `keep` refers to it. Where that
memory has a gap the section is left out and the caller asks the host for full texts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from fleetctl.model.probe import Outcome

_OUTCOMES = {
    b"d": Outcome.DONE,
    b"t": Outcome.TIMEOUT,
    b"h": Outcome.HUNG,
    b"m": Outcome.MISSING,
    b"c": Outcome.CUT,
    b"n": None,  # looked for and not found: nothing to report
}


class Section(NamedTuple):
    """One probe's answer. outcome None: the tool is not on this host; kept: bytes at the start of stdout that are as
    last time, all of them when `same`; ms: how long it took on the host."""

    probe: str
    outcome: Outcome | None
    status: int
    ms: int
    stdout: bytes
    stderr: bytes
    kept: int
    same: bool


@dataclass(slots=True)
class Body:
    """at: host clock, epoch seconds, None where the host cannot tell; skipped: frames the channel did not take;
    unreadable: sections that cannot be read, or refer to a text we do not have."""

    at: float | None
    skipped: int
    sections: list[Section] = field(default_factory=list)
    unreadable: int = 0


@dataclass(slots=True)
class Texts:
    """The last text of every probe of one host, for as long as its channel lives."""

    last: dict[str, Section] = field(default_factory=dict)

    def read(self, body: bytes) -> Body:
        """Never raises: what cannot be read is counted."""
        parts = body.split(b"\x1d")
        try:
            clock, skipped_text = parts[0].split()
            read = Body(None if clock == b"-" else float(clock), int(skipped_text))
        except ValueError:
            return Body(None, 0, unreadable=1)
        for part in parts[1:]:
            section = self._section(part)
            if section is None:
                read.unreadable += 1
            else:
                read.sections.append(section)
        return read

    def _section(self, part: bytes) -> Section | None:
        head, newline, text = part.partition(b"\n")
        try:
            probe_text, letter, status_text, ms_text, mode = head.split(b" ")
            probe, status, ms = probe_text.decode("ascii"), int(status_text), int(ms_text)
            outcome = _OUTCOMES[letter]
            kept = int(mode[1:]) if mode[1:] else 0
        except (ValueError, KeyError):
            return None
        last = self.last.get(probe)
        if mode == b"s":
            if last is None:
                return None
            section = last._replace(ms=ms, kept=len(last.stdout), same=True)
        else:
            stdout, _, stderr = text.partition(b"\x1c")
            if mode[:1] == b"k":
                if last is None or not 0 <= kept <= len(last.stdout):
                    self.last.pop(probe, None)
                    return None
                stdout = last.stdout[:kept] + stdout
            elif mode != b"f" or not newline:
                return None
            section = Section(probe, outcome, status, ms, stdout, stderr, kept, False)
        self.last[probe] = section
        return section

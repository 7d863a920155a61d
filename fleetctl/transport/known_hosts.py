"""Files in known_hosts format, indexed so that looking up one of 12,500 hashed entries costs one hash.

A hashed entry has a salt of its own, so a host cannot be looked up by name without one HMAC per entry: 12,500 of them
are 20 to 30 ms, per connection. But we need not start from the name: the host shows its key first, keys are unique,
and the index by key leaves one or two lines whose name is then checked with one HMAC each. Only a host whose key
stands nowhere costs the full scan, once per name and version of the file (then it is unknown, or it has changed).

Nothing is decoded while loading: a key stays the base64 text of its line.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fleetctl.transport.ssh_config import matches_list

CERT_AUTHORITY = "@cert-authority"
REVOKED = "@revoked"
_WILD = frozenset("*?!")
_CHECKED_BYTES = 256


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One line: who (names, patterns or one hash), which key, and where it stands."""

    names: str
    key_type: str
    key: str  # base64
    marker: str
    path: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"

    def matches(self, name: str) -> bool:
        """True when this line is about the name (lower case, `[host]:port` for odd ports)."""
        if self.names.startswith("|1|"):
            return _hash_matches(self.names, name)
        return matches_list(name, tuple(self.names.lower().split(",")))


class KnownHostsFile:
    """One file, read when it has changed. A file that does not exist is empty; lines that make no sense are counted
    in `broken` and passed over, as ssh does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.broken = 0
        self._version: tuple[int, int, int] | None = None
        self._clear()

    def _clear(self) -> None:
        self.broken = 0
        self._read = 0  # bytes of whole lines
        self._lines = 0
        self._last = b""  # the end of what was read, to recognise the file by
        self._by_key: dict[str, list[KnownKey]] = {}
        self._by_name: dict[str, list[KnownKey]] = {}
        self._patterns: list[KnownKey] = []
        self._hashed: list[KnownKey] = []
        self._vouched: dict[tuple[str, tuple[str, ...]], KnownKey] = {}
        self._found: dict[str, tuple[KnownKey, ...]] = {}
        self.authorities: list[KnownKey] = []
        self.revoked: list[KnownKey] = []
        self.key_types: dict[str, int] = {}

    def refresh(self) -> None:
        """Read the file again if it is not the one that was read. Raises OSError when it exists and cannot be read."""
        try:
            stat = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            if self._version is not None:
                self._clear()
                self._version = None
            return
        version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if version == self._version:
            return
        with self.path.open("rb") as file:
            if not self._has_grown(file, stat.st_ino, stat.st_size):
                self._clear()
            file.seek(self._read)
            data = file.read()
        whole = data.rfind(b"\n") + 1  # a line without its end is still being written, or is the last one
        for line in data[:whole].decode("utf-8", "replace").split("\n")[:-1]:
            self._lines += 1
            self._add_line(line, self._lines)
        self._read += whole
        self._last = (self._last + data[:whole])[-_CHECKED_BYTES:]
        if whole < len(data):
            self._add_line(data[whole:].decode("utf-8", "replace"), self._lines + 1)
            self._last = b""  # so that the next change reads all of it again
        self._version = version

    def _has_grown(self, file: BinaryIO, inode: int, size: int) -> bool:
        """True when the file is the one that was read, with something appended. Our own store grows by a line per new
        host; reading all of it again each time would be quadratic."""
        if self._version is None or self._version[2] != inode or size <= self._read or not self._last:
            return False
        file.seek(self._read - len(self._last))
        return file.read(len(self._last)) == self._last

    def _add_line(self, line: str, number: int) -> None:
        words = line.split(None, 4)
        if not words or words[0].startswith("#"):
            return
        marker = ""
        if words[0].startswith("@"):
            marker = words.pop(0)
        if len(words) < 3 or marker not in ("", CERT_AUTHORITY, REVOKED):
            self.broken += 1
            return
        self.add(KnownKey(words[0], words[1], words[2], marker, str(self.path), number))

    def add(self, entry: KnownKey) -> None:
        if entry.marker == CERT_AUTHORITY:
            self.authorities.append(entry)
            return
        if entry.marker == REVOKED:
            self.revoked.append(entry)
            return
        self._by_key.setdefault(entry.key, []).append(entry)
        self.key_types[entry.key_type] = self.key_types.get(entry.key_type, 0) + 1
        self._found.clear()
        if entry.names.startswith("|"):
            self._hashed.append(entry)
        elif _WILD.isdisjoint(entry.names):
            for name in entry.names.lower().split(","):
                self._by_name.setdefault(name, []).append(entry)
        else:
            self._patterns.append(entry)

    def vouching(self, key: str, *names: str) -> KnownKey | None:
        """The line that says this key belongs to one of the names, if there is one; remembered, because hosts that were
        cloned with their host key share one key among thousands of lines."""
        known = self._vouched.get((key, names))
        if known is None:
            for entry in self._by_key.get(key, ()):
                if any(map(entry.matches, names)):
                    self._vouched[key, names] = known = entry
                    break
        return known

    def plain(self, name: str) -> Iterable[KnownKey]:
        """Lines that name the host in plain words; costs one look-up."""
        return self._by_name.get(name, ())

    def about(self, name: str) -> tuple[KnownKey, ...]:
        """Every line about the host, hashed ones included: one HMAC per hashed line, remembered per name."""
        found = self._found.get(name)
        if found is None:
            found = (
                *self._by_name.get(name, ()),
                *(e for e in self._patterns if e.matches(name)),
                *(e for e in self._hashed if e.matches(name)),
            )
            self._found[name] = found
        return found


def _hash_matches(names: str, name: str) -> bool:
    try:
        _, _, salt, digest = names.split("|")
        return hmac.digest(binascii.a2b_base64(salt), name.encode(), "sha1") == binascii.a2b_base64(digest)
    except (ValueError, binascii.Error):
        return False


def key_text(blob: bytes) -> str:
    """A public key as it stands in a line."""
    return base64.b64encode(blob).decode()


def fingerprint(key: str) -> str:
    """SHA256:... of a key in base64, as ssh prints it; "?" when it is not base64."""
    import hashlib

    try:
        digest = hashlib.sha256(binascii.a2b_base64(key)).digest()
    except binascii.Error:
        return "?"
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

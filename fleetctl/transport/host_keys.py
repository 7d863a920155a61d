"""Is this the host it was? The user's known hosts are read, ours are kept; a changed key is always refused.

Our store is a file in known_hosts format with plain names: `ssh -o UserKnownHostsFile=...` and ssh-keygen read it. A
line is appended with one write under an flock, so that two consoles cannot both take the first key they see. It is not
synced to disk: a line lost with the power makes a host new again, and a sync per host would stop the loop.
"""

from __future__ import annotations

import fcntl
import os
import shlex
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fleetctl.errors import HostKeyError
from fleetctl.transport.known_hosts import KnownHostsFile, KnownKey, fingerprint, key_text
from fleetctl.transport.target import Target

# Our order of preference; the types a host is known by come first, as in OpenSSH.
KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


class Policy(StrEnum):
    """What to do with a host never seen before."""

    STRICT = "strict"
    ACCEPT_NEW = "accept-new"


class Verdict(StrEnum):
    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    OTHER_TYPE = "other type"  # known, but by keys of other types than the one shown
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a shown key, with the lines it rests on."""

    verdict: Verdict
    lines: tuple[KnownKey, ...] = ()


class HostKeys:
    """All known keys. `store` is ours; None: nothing is accepted that the user's files do not hold."""

    def __init__(self, policy: Policy, store: Path | None) -> None:
        self.policy = policy
        self._store = KnownHostsFile(store) if store is not None else None
        self._files: dict[str, KnownHostsFile] = {}

    def key_types(self, target: Target) -> list[str]:
        """Types to ask the host for, best first: those it is known by, then those the files hold, then the rest."""
        files = self._open(target)
        known = {e.key_type for f in files for e in f.plain(target.key_name)}
        held = {t for f in files for t in f.key_types}
        return sorted(KEY_TYPES, key=lambda t: (t not in known, t not in held, KEY_TYPES.index(t)))

    def has_authority(self, target: Target) -> bool:
        """True when some certificate authority speaks for this host."""
        return any(e.matches(target.key_name) for f in self._open(target) for e in f.authorities)

    def judge(self, target: Target, blob: bytes) -> Judgement:
        """Hold a shown host key against all files. Costs one look-up per file when the key is known."""
        files, name, key = self._open(target), target.key_name, key_text(blob)
        revoked = tuple(e for f in files for e in f.revoked if e.key == key and e.matches(name))
        if revoked:
            return Judgement(Verdict.REVOKED, revoked)
        # OpenSSH also takes a key that is known for the plain name of a host on an odd port.
        bare = target.hostname.lower() if not target.host_key_alias else name
        names = (name,) if bare == name else (name, bare)
        for file in files:
            if (entry := file.vouching(key, *names)) is not None:
                return Judgement(Verdict.TRUSTED, (entry,))
        lines = tuple(e for f in files for e in f.about(name))
        if not lines:
            return Judgement(Verdict.UNKNOWN)
        shown_type = _type_of(blob)
        same = tuple(e for e in lines if e.key_type == shown_type)
        return Judgement(Verdict.CHANGED, same) if same else Judgement(Verdict.OTHER_TYPE, lines)

    def is_authority(self, target: Target, blob: bytes) -> bool:
        """True when this key may sign certificates of the host, and is not revoked."""
        key, name = key_text(blob), target.key_name
        files = self._open(target)
        if any(e.key == key and e.matches(name) for f in files for e in f.revoked):
            return False
        return any(e.key == key and e.matches(name) for f in files for e in f.authorities)

    def accept(self, target: Target, blob: bytes) -> None:
        """Remember the first key of a host. Raises HostKeyError if another process took another one meanwhile, or if
        the store cannot be written."""
        if self._store is None:
            raise HostKeyError(f"{target.name}: no host key store is configured", hint="set ssh.host_keys")
        path = self._store.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise _cannot_store(path, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            judgement = self.judge(target, blob)
            if judgement.verdict is Verdict.TRUSTED:
                return
            if judgement.verdict is not Verdict.UNKNOWN:
                raise self.refusal(target, blob, judgement)
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"  # a writer died in the middle of a line
            line = f"{target.key_name} {_type_of(blob)} {key_text(blob)}\n"
            os.write(handle, (("\n" if torn else "") + line).encode())
        except OSError as error:
            raise _cannot_store(path, error) from error
        finally:
            os.close(handle)

    def refusal(self, target: Target, blob: bytes, judgement: Judgement) -> HostKeyError:
        """Why a key is not taken, which line says so, and what to run."""
        shown = f"{_type_of(blob)} {fingerprint(key_text(blob))}"
        where = f"{target.name} ({target.where})"
        if judgement.verdict is Verdict.UNKNOWN:
            keyscan = shlex.join(["ssh-keyscan", "-p", str(target.port), target.hostname])
            return HostKeyError(
                f"{where}: unknown host key {shown}",
                hint=f"compare it with the machine's own ({keyscan}), then: {target.command}; "
                'or set ssh.host_key_policy = "accept-new"',
            )
        line = judgement.lines[0]
        if judgement.verdict is Verdict.REVOKED:
            return HostKeyError(f"{where}: host key {shown} is revoked by {line.place}", hint="do not connect; ask why")
        remove = shlex.join(["ssh-keygen", "-R", target.key_name, "-f", line.path])
        return HostKeyError(
            f"{where}: THE HOST KEY HAS CHANGED: it shows {shown}, but {line.place} "
            f"has {line.key_type} {fingerprint(line.key)}",
            hint=f"if the machine was reinstalled: {remove}; if not, somebody may be in between: do not connect",
        )

    def gone(self, target: Target, types: tuple[str, ...]) -> HostKeyError:
        """Why a host is refused that has no key of the types it is known by any more."""
        lines = [e for f in self._open(target) for e in f.about(target.key_name) if e.key_type in types]
        place = lines[0].place if lines else "the known hosts"
        path = lines[0].path if lines else "~/.ssh/known_hosts"
        remove = shlex.join(["ssh-keygen", "-R", target.key_name, "-f", path])
        return HostKeyError(
            f"{target.name} ({target.where}): THE HOST KEY HAS CHANGED: the host has no {' or '.join(types)} "
            f"key any more, but {place} holds one",
            hint=f"if the machine was reinstalled: {remove}; if not, somebody may be in between: do not connect",
        )

    def _open(self, target: Target) -> list[KnownHostsFile]:
        files = [self._store] if self._store is not None else []
        for name in target.known_hosts:
            file = self._files.get(name)
            if file is None:
                file = self._files[name] = KnownHostsFile(Path(name))
            files.append(file)
        for file in files:
            try:
                file.refresh()
            except OSError as error:
                raise HostKeyError(
                    f"{target.name}: {file.path} cannot be read: {error.strerror}", hint="fix its permissions"
                ) from error
        return files


def _type_of(blob: bytes) -> str:
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + min(length, 64)].decode("ascii", "replace")


def _cannot_store(path: Path, error: OSError) -> HostKeyError:
    return HostKeyError(
        f"the host key store {path} cannot be written: {error.strerror}", hint="fix it, or set ssh.host_keys elsewhere"
    )

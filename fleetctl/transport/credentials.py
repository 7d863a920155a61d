"""What we show to be let in: private keys, certificates and the agent's keys, each loaded once and passed as objects.

asyncssh given a path reads and decodes it for every connection (125 ms for RSA-3072) and opens the agent every time.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from fleetctl.errors import AuthError
from fleetctl.transport.target import Target

MAX_KEYS = 6  # sshd ends the connection after MaxAuthTries (6) refused ones
AGENT_LIST_S = 60.0  # a key added to the agent is seen after this long


class _Agent(asyncssh.SSHAgentClient):
    """One connection to the agent for all our connections. A request is never left half read: a connection that is
    given up in the middle of a signature must not take the answer of the next one."""

    async def get_keys(self, identities: Sequence[bytes] | None = None) -> Sequence[asyncssh.SSHKeyPair]:
        return await asyncio.shield(super().get_keys(identities))

    async def sign(self, key_blob: bytes, data: bytes, flags: int = 0) -> bytes:
        return await asyncio.shield(super().sign(key_blob, data, flags))


@dataclass(frozen=True, slots=True)
class Offer:
    """What one connection shows, in this order. `words` names it for a message."""

    keys: tuple[Any, ...]
    words: str


@dataclass(frozen=True, slots=True)
class _KeyFile:
    """One identity file. key: None when it is encrypted or absent; public: its blob where that can be known."""

    path: str
    key: asyncssh.SSHKey | None
    certificate: asyncssh.SSHCertificate | None
    public: bytes | None
    problem: str


class Credentials:
    """Keys by path, agents by socket."""

    def __init__(self) -> None:
        self._files: dict[str, _KeyFile] = {}
        self._certificates: dict[str, asyncssh.SSHCertificate | None] = {}
        self._agents: dict[str, _Agent] = {}
        self._agent_keys: dict[str, tuple[float, Sequence[asyncssh.SSHKeyPair]]] = {}

    async def offer(self, target: Target) -> Offer:
        """The keys for a target, best first: agent keys named by an identity file, key files named in a config, other
        agent keys, OpenSSH's default files. At most MAX_KEYS.

        Raises AuthError when keys were asked for by name and none of them can be used.
        """
        files = [self._file(path) for path in target.identity_files]
        agent = await self._list_agent(target.agent) if target.agent else ()
        wanted = {f.public for f in files if f.public is not None}
        certificates = [c for c in (self._certificate(p) for p in target.certificate_files) if c is not None]
        named = [k for k in agent if k.public_data in wanted]
        other = [] if target.identities_only else [k for k in agent if k.public_data not in wanted]
        in_agent = {k.public_data for k in named}
        own: list[tuple[Any, str]] = []
        for file in files:
            if file.key is None or file.public in in_agent:
                continue
            own += [((file.key, c), f"{file.path} with certificate") for c in _fitting(file, certificates)]
            own.append((file.key, file.path))
        first: list[tuple[Any, str]] = [(copy.copy(k), _agent_words(k)) for k in named]
        rest: list[tuple[Any, str]] = [(copy.copy(k), _agent_words(k)) for k in other]
        offered = [*first, *own, *rest] if target.explicit_keys else [*first, *rest, *own]
        if not offered and target.explicit_keys:
            problems = "; ".join(f"{f.path}: {f.problem}" for f in files if f.problem)
            raise AuthError(
                f"{target.name}: no key can be used ({problems or 'none found'})",
                hint="add it to the agent (ssh-add), or correct identity_files",
            )
        left_out = f" and {len(offered) - MAX_KEYS} more not tried" if len(offered) > MAX_KEYS else ""
        offered = offered[:MAX_KEYS]
        return Offer(tuple(k for k, _ in offered), "offered " + ", ".join(w for _, w in offered) + left_out)

    async def close(self) -> None:
        for agent in self._agents.values():
            agent.close()
            await agent.wait_closed()
        self._agents.clear()
        self._agent_keys.clear()

    def _file(self, path: str) -> _KeyFile:
        file = self._files.get(path)
        if file is None or (file.key is None and file.public is None and Path(path).exists()):
            file = self._files[path] = _load_key(path)
        return file

    def _certificate(self, path: str) -> asyncssh.SSHCertificate | None:
        if path not in self._certificates:
            self._certificates[path] = _load_certificate(path)
        return self._certificates[path]

    async def _list_agent(self, path: str) -> Sequence[asyncssh.SSHKeyPair]:
        listed_at, keys = self._agent_keys.get(path, (float("-inf"), ()))
        if time.monotonic() - listed_at < AGENT_LIST_S:
            return keys
        agent = self._agents.get(path)
        if agent is None:
            agent = self._agents[path] = _Agent(path)
        try:
            keys = await agent.get_keys()
        except (OSError, ValueError, asyncssh.Error):
            keys = ()  # no agent there: as ssh, go on with the files
        self._agent_keys[path] = (time.monotonic(), keys)
        return keys


def _agent_words(key: asyncssh.SSHKeyPair) -> str:
    comment = key.get_comment_bytes() or b""
    return "agent key " + (comment.decode("utf-8", "replace") or key.get_algorithm())


def _fitting(file: _KeyFile, certificates: list[asyncssh.SSHCertificate]) -> list[asyncssh.SSHCertificate]:
    candidates = [*([file.certificate] if file.certificate is not None else []), *certificates]
    return [c for c in candidates if c.key.public_data == file.public]


def _load_key(path: str) -> _KeyFile:
    certificate = _load_certificate(path + "-cert.pub")
    try:
        key = asyncssh.read_private_key(path)
    except FileNotFoundError:
        return _KeyFile(path, None, None, _public_of(path), "no such file")
    except OSError as error:
        return _KeyFile(path, None, None, _public_of(path), str(error.strerror))
    except asyncssh.KeyEncryptionError:
        return _KeyFile(path, None, None, _public_of(path), "needs a passphrase")
    except asyncssh.KeyImportError as error:
        public = _public_of(path)
        wants_phrase = "passphrase" in str(error).lower()
        return _KeyFile(path, None, None, public, "needs a passphrase" if wants_phrase else "not a private key")
    return _KeyFile(path, key, certificate, key.public_data, "")


def _public_of(path: str) -> bytes | None:
    for name in (path + ".pub", path):
        try:
            return asyncssh.read_public_key(name).public_data
        except (OSError, asyncssh.KeyImportError):
            continue
    return None


def _load_certificate(path: str) -> asyncssh.SSHCertificate | None:
    try:
        return asyncssh.read_certificate(path)
    except (OSError, asyncssh.KeyImportError):
        return None

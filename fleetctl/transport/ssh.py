"""Hosts over SSH: kept asyncssh connections, set up within limits, checked against our own index of known hosts.

How a connection comes to be: resolve (fleet.toml, ssh_config) -> a turn -> reach the port, directly or through a shared
jump host -> wait until sshd speaks -> a handshake slot -> key exchange, host key, login -> session. ADR 0010, 0011.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncssh

from fleetctl.clock import Clock, SystemClock
from fleetctl.config.schema import Ssh
from fleetctl.errors import ConfigError, FleetctlError, HostKeyError, UnreachableError
from fleetctl.model.host import Host
from fleetctl.model.probe import Outcome, Output
from fleetctl.model.report import ErrorKind
from fleetctl.transport.accounts import AccountGuard
from fleetctl.transport.base import MAX_OUTPUT_BYTES, EndReason
from fleetctl.transport.bastions import Bastions, Shared
from fleetctl.transport.credentials import Credentials
from fleetctl.transport.failures import explain, printable
from fleetctl.transport.host_keys import KEY_TYPES, HostKeys, Policy, Verdict
from fleetctl.transport.limits import SetupLimits
from fleetctl.transport.line import HeldChannel, open_socket
from fleetctl.transport.resolve import Resolver, load_ssh_config
from fleetctl.transport.ssh_channel import SshStream, run_command
from fleetctl.transport.target import Target

# AES-128-GCM costs half of ChaCha20 where the CPU has AES; X25519 a quarter of the post-quantum exchange.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes256-ctr",
)
KEX = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group-exchange-sha256",
)
KEEPALIVES_MISSED = 3  # unanswered ones after which a connection counts as gone
CLOSE_WAIT_S = 2.0
MAX_BANNER_CHARS = 2000
MAX_JUMPS = 8  # one behind the other


class SshTransport:
    """All SSH connections of one process. Give it the settings; everything else is read once and kept."""

    def __init__(
        self,
        settings: Ssh,
        *,
        host_keys_path: Path | None,
        site_limits: Mapping[str, int] | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        clock, rng = clock or SystemClock(), rng or random.Random()
        self._clock = clock
        self._settings = settings
        self._resolver = Resolver(settings, load_ssh_config(settings))
        self._host_keys = HostKeys(Policy(settings.host_key_policy), host_keys_path)
        self._credentials = Credentials()
        self._accounts = AccountGuard()
        self._limits = SetupLimits(
            site_limits=site_limits or {},
            max_connecting=settings.max_connecting,
            connects_per_second=settings.connects_per_second,
            clock=clock,
            rng=rng,
        )
        self._bastions = Bastions(self._connect_bastion, clock, rng)

    async def connect(self, host: Host) -> SshSession:
        target = self._resolve(host)
        conn, client, shared = await self._open(target)
        if shared is not None:
            client.on_lost = lambda: self._bastions.give_back(shared)
        return SshSession(host, target, conn, client, via=shared.target.where if shared else "")

    def resolve(self, host: Host) -> Target:
        """Where `connect` would go; for `doctor` and for messages. Raises UnreachableError for a broken config."""
        return self._resolve(host)

    def bastion_counts(self) -> dict[str, tuple[int, int]]:
        """Jump host -> (connections, channels in use)."""
        return self._bastions.counts()

    async def close(self) -> None:
        await self._bastions.close()
        await self._credentials.close()

    def _resolve(self, host: Host) -> Target:
        try:
            return self._resolver.host(host)
        except ConfigError as error:
            raise UnreachableError(f"{host.name}: {error}", hint=error.hint, kind=ErrorKind.RESOLVE) from error

    async def _connect_bastion(self, target: Target) -> asyncssh.SSHClientConnection:
        conn, client, shared = await self._open(target)
        if shared is not None:
            client.on_lost = lambda: self._bastions.give_back(shared)
        return conn

    async def _open(self, target: Target) -> tuple[asyncssh.SSHClientConnection, _Client, Shared | None]:
        """A logged-in connection. Raises one of ours."""
        try:
            return await self._open_once(target, None)
        except _OtherKeyTypeError as other:
            return await self._open_once(target, other.types)

    async def _open_once(
        self, target: Target, key_types: tuple[str, ...] | None
    ) -> tuple[asyncssh.SSHClientConnection, _Client, Shared | None]:
        client = _Client(self._host_keys, target, restricted=key_types is not None)
        tried, via = "", ""
        try:
            async with AsyncExitStack() as stack:
                shared: Shared | None = None
                if target.jumps:
                    jump = self._jump_target(target)
                    via = jump.where
                    shared = await stack.enter_async_context(self._bastions.lent(jump))
                offer = await self._credentials.offer(target)
                tried = offer.words
                await stack.enter_async_context(
                    self._limits.approach(target.site, f"{target.hostname}:{target.port}", via)
                )
                self._accounts.check(target, self._clock.monotonic())
                way = await self._reach(target, shared)
                stack.push(lambda kind, *_: _let_go(way) if kind is not None else None)
                await stack.enter_async_context(self._limits.handshake(target.site))
                async with asyncio.timeout(target.connect_timeout_s):
                    conn = await asyncssh.connect(
                        target.hostname,
                        target.port,
                        config=None,
                        client_factory=lambda: client,
                        **way,
                        **self._options(target, offer.keys, key_types),
                    )
                self._accounts.accepted(target)
                return conn, client, shared
        except _OtherKeyTypeError:
            raise
        except Exception as error:
            if client.other_types:
                raise _OtherKeyTypeError(client.other_types) from error
            if client.refused is not None:
                raise client.refused from error
            if key_types is not None and isinstance(error, asyncssh.KeyExchangeFailed):
                raise self._host_keys.gone(target, key_types) from error
            if isinstance(error, asyncssh.PermissionDenied):
                self._accounts.refused(target, self._clock.monotonic())
            ours = explain(error, target, via=via, tried=tried)
            if ours is error:
                raise
            raise ours from error

    def _jump_target(self, target: Target) -> Target:
        """The last jump host; those before it are its own way."""
        *before, last = target.jumps
        jump = self._resolver.hop(last, target.site)
        if before:
            jump = jump.through(tuple(before))
        self._check_circle(jump, (last.name,), target)
        return jump

    def _check_circle(self, jump: Target, seen: tuple[str, ...], target: Target) -> None:
        """A jump host must not be reached through itself, whichever way round."""
        for hop in jump.jumps:
            if hop.name in seen or len(seen) > MAX_JUMPS:
                raise UnreachableError(
                    f"{target.name}: the jump hosts form a circle: {' through '.join((*seen, hop.name))}",
                    hint="correct ProxyJump in ssh_config or jump in fleet.toml",
                    kind=ErrorKind.RESOLVE,
                )
            self._check_circle(self._resolver.hop(hop, target.site), (*seen, hop.name), target)

    async def _reach(self, target: Target, shared: Shared | None) -> dict[str, Any]:
        if target.proxy_command:
            return {"proxy_command": ["/bin/sh", "-c", f"exec {target.proxy_command}"]}
        if shared is not None:
            return {"tunnel": await HeldChannel.open(shared.conn, target)}
        return {"sock": await open_socket(target)}

    def _options(self, target: Target, keys: tuple[Any, ...], key_types: tuple[str, ...] | None) -> dict[str, Any]:
        certificates = () if key_types else self._certificate_algs(target)
        types = key_types or tuple(self._host_keys.key_types(target))
        return {
            "username": target.user,
            "client_keys": list(keys) or None,
            "agent_path": None,
            "known_hosts": _NOTHING_KNOWN,
            "host_key_alias": target.host_key_alias,
            "server_host_key_algs": target.host_key_algs or [*certificates, *_signature_algs(types)],
            "encryption_algs": target.ciphers or CIPHERS,
            "kex_algs": target.kex or KEX,
            "compression_algs": ["none"],
            "x509_trusted_certs": None,
            "gss_auth": False,
            "gss_kex": False,
            "password_auth": False,
            "kbdint_auth": False,
            "host_based_auth": False,
            "public_key_auth": True,
            "login_timeout": target.connect_timeout_s,
            "keepalive_interval": self._settings.keepalive_s,
            "keepalive_count_max": KEEPALIVES_MISSED,
        }

    def _certificate_algs(self, target: Target) -> tuple[str, ...]:
        return _CERTIFICATE_ALGS if self._host_keys.has_authority(target) else ()


def _let_go(way: dict[str, Any]) -> None:
    """Close what was reached for a connection that did not come to be."""
    if sock := way.get("sock"):
        sock.close()
    if held := way.get("tunnel"):
        held.abort()


_NOTHING_KNOWN: tuple[list[Any], list[Any], list[Any]] = ([], [], [])  # so that every key comes to _Client
_CERTIFICATE_ALGS = (
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
)


def _signature_algs(types: tuple[str, ...]) -> list[str]:
    algs: list[str] = []
    for key_type in types:
        algs += ["rsa-sha2-512", "rsa-sha2-256"] if key_type == "ssh-rsa" else [key_type]
    return algs


class _OtherKeyTypeError(Exception):
    """The host showed a key of a type it is not known by; ask again for the types it is known by."""

    def __init__(self, types: tuple[str, ...]) -> None:
        super().__init__(", ".join(types))
        self.types = types


class _Client(asyncssh.SSHClient):
    """What one connection tells us while it is set up, and that it ended."""

    def __init__(self, host_keys: HostKeys, target: Target, *, restricted: bool) -> None:
        self._host_keys = host_keys
        self._target = target
        self._restricted = restricted
        self.refused: HostKeyError | None = None
        self.other_types: tuple[str, ...] = ()
        self.banner = ""
        self.lost = False
        self.error: Exception | None = None
        self.on_lost: Callable[[], None] = lambda: None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        blob, keys, target = key.public_data, self._host_keys, self._target
        try:
            judgement = keys.judge(target, blob)
            if judgement.verdict is Verdict.TRUSTED:
                return True
            if judgement.verdict is Verdict.UNKNOWN and keys.policy is Policy.ACCEPT_NEW:
                keys.accept(target, blob)
                return True
            if judgement.verdict is Verdict.OTHER_TYPE and not self._restricted:
                known = {e.key_type for e in judgement.lines}
                self.other_types = tuple(t for t in KEY_TYPES if t in known)
                if self.other_types:
                    return False
            self.refused = keys.refusal(target, blob, judgement)
        except HostKeyError as error:
            self.refused = error
        return False

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        return self._host_keys.is_authority(self._target, key.public_data)

    def auth_banner_received(self, msg: str, lang: str) -> None:
        self.banner = printable(self.banner + msg, MAX_BANNER_CHARS)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.error = exc
        self.on_lost()


class SshSession:
    """One kept connection."""

    def __init__(
        self, host: Host, target: Target, conn: asyncssh.SSHClientConnection, client: _Client, *, via: str
    ) -> None:
        self._host = host
        self._target = target
        self._conn = conn
        self._client = client
        self._via = via

    @property
    def host(self) -> Host:
        return self._host

    @property
    def closed(self) -> bool:
        return self._client.lost

    @property
    def facts(self) -> dict[str, str]:
        info = self._conn.get_extra_info
        peer = None if self._via or self._target.proxy_command else info("peername")
        return {
            "peer": f"{peer[0]} port {peer[1]}" if peer else "",
            "address": self._target.where,
            "via": f"ssh through {self._via}" if self._via else "ssh",
            "server": printable(info("server_version") or ""),
            "cipher": str(info("send_cipher") or ""),
        }

    async def run(
        self, command: str, *, stdin: bytes = b"", timeout_s: float = 30.0, max_bytes: int = MAX_OUTPUT_BYTES
    ) -> Output:
        if self.closed:
            return Output("", "the connection is closed", None, Outcome.LOST)
        return await run_command(self._conn, command, stdin=stdin, timeout_s=timeout_s, max_bytes=max_bytes)

    async def stream(
        self,
        command: str,
        *,
        stdin: bytes = b"",
        on_data: Callable[[bytes], None],
        on_end: Callable[[EndReason], None],
    ) -> SshStream:
        stream = SshStream(on_data, on_end)
        try:
            async with asyncio.timeout(self._target.connect_timeout_s):
                await stream.open(self._conn, command, stdin)
        except (asyncssh.Error, OSError) as error:
            raise _not_started(error, self._host) from error
        return stream

    async def close(self) -> None:
        """Say goodbye, then go: a host that does not answer is left after CLOSE_WAIT_S."""
        if not self._client.lost:
            self._conn.close()
            try:
                async with asyncio.timeout(CLOSE_WAIT_S):
                    await self._conn.wait_closed()
            except TimeoutError:
                self._conn.abort()


def _not_started(error: Exception, host: Host) -> FleetctlError:
    if isinstance(error, TimeoutError):
        return UnreachableError(f"{host.name}: no channel in time", hint="the host hangs", kind=ErrorKind.TIMED_OUT)
    return UnreachableError(
        f"{host.name}: no channel: {printable(str(error))}",
        hint="the connection is gone, or sshd's MaxSessions is reached",
        kind=ErrorKind.CLOSED,
    )

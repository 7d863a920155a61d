"""What went wrong with a connection, in words and with the next step."""

from __future__ import annotations

import errno
import socket

import asyncssh

from fleetctl.errors import AuthError, FleetctlError, HostKeyError, TimedOutError, UnreachableError
from fleetctl.model.report import ErrorKind
from fleetctl.transport.line import ShutError, SilentError, StrangerError
from fleetctl.transport.target import Target

_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)


def explain(error: BaseException, target: Target, *, via: str = "", tried: str = "") -> FleetctlError:
    """The error of a failed connection as one of ours. via: the jump host used; tried: the keys that were offered."""
    if isinstance(error, FleetctlError):
        return error
    where = f"{target.name} ({target.where}{f' via {via}' if via else ''})"
    if isinstance(error, SilentError):
        return TimedOutError(
            f"{where}: the port is open, but nothing was said within {target.connect_timeout_s:g} s",
            hint="sshd hangs or the machine is out of memory or processes; look at its console",
        )
    if isinstance(error, ShutError):
        return UnreachableError(
            f"{where}: closed before the first word",
            hint="sshd drops connections beyond MaxStartups, or its rules (Match, hosts.deny, fail2ban) refuse us",
            kind=ErrorKind.PROTOCOL,
        )
    if isinstance(error, StrangerError):
        return UnreachableError(
            f"{where}: what answers does not speak SSH: {printable(repr(error.args[0]), 60)}",
            hint=f"is port {target.port} right? set port in fleet.toml or Port in ssh_config",
            kind=ErrorKind.PROTOCOL,
        )
    if isinstance(error, TimeoutError):
        return TimedOutError(
            f"{where}: no answer within {target.connect_timeout_s:g} s",
            hint=f"is it up, and does a firewall drop port {target.port}? try: {target.command}",
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return AuthError(
            f"{where}: permission denied for user {target.user} ({tried or 'no key to offer'})",
            hint=f"try: {target.command}; add the key there or set user / identity_files in fleet.toml or ssh_config",
        )
    if isinstance(error, asyncssh.ChannelOpenError):
        return _tunnel_error(error, where, via, target)
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return HostKeyError(
            f"{where}: the host cannot prove who it is: {printable(error.reason)}",
            hint="look at the @cert-authority lines of the known hosts, and at the dates and principals of its certificate",
        )
    if isinstance(error, asyncssh.KeyExchangeFailed | asyncssh.ProtocolNotSupported):
        return UnreachableError(
            f"{where}: no common SSH algorithm: {printable(str(error))}",
            hint=f"see what it offers: ssh -vv -p {target.port} {target.hostname}",
            kind=ErrorKind.PROTOCOL,
        )
    if isinstance(error, asyncssh.ConnectionLost):
        return UnreachableError(
            f"{where}: cut during the handshake: {printable(str(error))}",
            hint="sshd drops connections beyond MaxStartups, or something in between resets them",
            kind=ErrorKind.PROTOCOL,
        )
    if isinstance(error, asyncssh.Error):
        return UnreachableError(
            f"{where}: not a working SSH server: {printable(str(error))}",
            hint=f"what answers there? try: {target.command}",
            kind=ErrorKind.PROTOCOL,
        )
    if isinstance(error, socket.gaierror):
        return UnreachableError(
            f"{target.name}: the name {target.hostname!r} resolves to nothing: {error.strerror}",
            hint="set address in fleet.toml, HostName in ssh_config, or add it to DNS or /etc/hosts",
            kind=ErrorKind.RESOLVE,
        )
    if isinstance(error, ConnectionRefusedError):
        return UnreachableError(
            f"{where}: connection refused", hint=f"the machine is up but nothing listens on port {target.port}"
        )
    if isinstance(error, ConnectionError):
        return UnreachableError(f"{where}: connection reset", hint="sshd or a firewall cut it", kind=ErrorKind.PROTOCOL)
    if isinstance(error, OSError) and error.errno in _NO_ROUTE:
        return UnreachableError(f"{where}: no route to host", hint="is the machine powered, is the network up?")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return UnreachableError(
            f"{where}: this machine has no file descriptor left",
            hint="raise the limit: ulimit -n, or LimitNOFILE in the systemd unit",
        )
    if isinstance(error, OSError):
        return UnreachableError(f"{where}: {printable(str(error))}", hint=f"try: {target.command}")
    return UnreachableError(
        f"{where}: {type(error).__name__}: {printable(str(error))}",
        kind=ErrorKind.PROTOCOL,
        hint=f"try: {target.command}",
    )


def _tunnel_error(error: asyncssh.ChannelOpenError, where: str, via: str, target: Target) -> FleetctlError:
    reason = printable(error.reason)
    if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return AuthError(
            f"{where}: the jump host {via} does not forward: {reason}", hint="AllowTcpForwarding in its sshd_config"
        )
    lower = reason.lower()
    if "resolve" in lower or "name or service" in lower:
        return UnreachableError(
            f"{where}: the jump host {via} cannot resolve {target.hostname!r}: {reason}",
            hint="names behind a jump host are resolved there",
            kind=ErrorKind.RESOLVE,
        )
    if "timed out" in lower:
        return TimedOutError(f"{where}: no answer behind {via}: {reason}", hint="is the machine up?")
    return UnreachableError(f"{where}: not reached from {via}: {reason}", hint=f"from {via}: is it up?")


def printable(text: str, limit: int = 200) -> str:
    """A stranger's words for our terminal: no control characters, no endless lines."""
    return "".join(c if c.isprintable() else "?" for c in text[:limit])

"""Where one SSH connection goes and with what: a host of the inventory after the user's SSH config was applied."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

from fleetctl.errors import ConfigError

DEFAULT_PORT = 22


@dataclass(frozen=True, slots=True)
class Hop:
    """One jump host as it was written: `user@name:port`."""

    name: str
    user: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Everything a connection needs to know before the first packet.

    name: of the host in the inventory, or of the jump host; hostname, port, user: what is really asked for;
    agent: socket of the SSH agent, None for none; known_hosts: files, the user's first; ciphers, kex, host_key_algs:
    as in ssh_config, None for ours; explicit_keys: identity_files were asked for by name, so a missing one matters.
    """

    name: str
    hostname: str
    port: int = DEFAULT_PORT
    user: str = ""
    site: str = ""
    identity_files: tuple[str, ...] = ()
    explicit_keys: bool = False
    certificate_files: tuple[str, ...] = ()
    identities_only: bool = False
    agent: str | None = None
    jumps: tuple[Hop, ...] = ()
    proxy_command: str | None = None
    known_hosts: tuple[str, ...] = ()
    host_key_alias: str | None = None
    ciphers: str | None = None
    kex: str | None = None
    host_key_algs: str | None = None
    connect_timeout_s: float = 15.0

    @property
    def where(self) -> str:
        """user@address:port, short."""
        port = "" if self.port == DEFAULT_PORT else f":{self.port}"
        return f"{self.user}@{self.hostname}{port}"

    @property
    def key_name(self) -> str:
        """The name host keys are stored under, as OpenSSH writes it."""
        if self.host_key_alias:
            return self.host_key_alias.lower()
        host = self.hostname.lower()
        return host if self.port == DEFAULT_PORT else f"[{host}]:{self.port}"

    def through(self, jumps: tuple[Hop, ...]) -> Target:
        """The same target behind these jump hosts."""
        return replace(self, jumps=jumps, proxy_command=None)

    @property
    def command(self) -> str:
        """The plain ssh command a person would try; what a message offers as the next step."""
        words = ["ssh"]
        if self.jumps:
            words += ["-J", ",".join(_show_hop(h) for h in self.jumps)]
        if self.port != DEFAULT_PORT:
            words += ["-p", str(self.port)]
        return shlex.join([*words, f"{self.user}@{self.hostname}", "true"])


def _show_hop(hop: Hop) -> str:
    return (f"{hop.user}@" if hop.user else "") + hop.name + (f":{hop.port}" if hop.port else "")


def parse_jumps(text: str, where: str) -> tuple[Hop, ...]:
    """`[user@]host[:port]` or `ssh://...`, separated by commas; "" and "none" mean no jump host.

    Raises ConfigError naming `where` the text stands.
    """
    text = text.strip()
    if not text or text.lower() == "none":
        return ()
    return tuple(_parse_hop(part.strip(), where) for part in text.split(","))


def _parse_hop(text: str, where: str) -> Hop:
    rest = text.removeprefix("ssh://").rstrip("/")
    user: str | None = None
    if "@" in rest:
        user, _, rest = rest.rpartition("@")
    port: int | None = None
    if rest.startswith("["):  # an IPv6 address
        rest, _, tail = rest[1:].partition("]")
        port_text = tail.removeprefix(":")
    elif rest.count(":") == 1:
        rest, _, port_text = rest.partition(":")
    else:
        port_text = ""
    if port_text:
        port = parse_port(port_text, where)
    if not rest:
        raise ConfigError(f"{where}: {text!r} is not a jump host", hint="write [user@]host[:port], several with commas")
    return Hop(rest, user or None, port)


def parse_port(text: str, where: str) -> int:
    """1 to 65535. Raises ConfigError naming `where`."""
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    raise ConfigError(f"{where}: {text!r} is not a port", hint="a number from 1 to 65535")

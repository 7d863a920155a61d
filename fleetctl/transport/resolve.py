"""From a host of the inventory to a target: fleet.toml first, then the user's SSH config, then OpenSSH's defaults."""

from __future__ import annotations

import os
from pathlib import Path

from fleetctl.config.schema import Ssh
from fleetctl.errors import ConfigError
from fleetctl.model.host import Host
from fleetctl.transport.ssh_config import SYSTEM_CONFIG, Answer, SshConfig
from fleetctl.transport.target import DEFAULT_PORT, Hop, Target, parse_jumps, parse_port

DEFAULT_CONFIG = "~/.ssh/config"
GLOBAL_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
DEFAULT_IDENTITIES = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")


def load_ssh_config(settings: Ssh) -> SshConfig:
    """The config that `ssh.config` names; the system's file follows only the user's own, as with `ssh -F`."""
    if not settings.config:
        return SshConfig.load(None)
    system = SYSTEM_CONFIG if settings.config == DEFAULT_CONFIG else None
    return SshConfig.load(Path(settings.config).expanduser(), system=system)


class Resolver:
    """Turns hosts and jump hosts into targets; reads no file and asks no name server."""

    def __init__(self, settings: Ssh, config: SshConfig) -> None:
        self._settings = settings
        self._config = config

    def host(self, host: Host) -> Target:
        """The target of a host. Raises ConfigError for values in the SSH config that make no sense."""
        return self._target(host.name, host.address, host.user, host.port, host.jump, host.site)

    def hop(self, hop: Hop, site: str) -> Target:
        """The target of a jump host, with its own jump hosts if its block says so."""
        return self._target(hop.name, None, hop.user, hop.port, None, site)

    def _target(
        self, name: str, address: str | None, user: str | None, port: int | None, jump: str | None, site: str
    ) -> Target:
        config, answer = self._config, self._config.lookup(name, user=user)
        hostname = address or self._expand(answer, "hostname", {"h": name, "n": name}) or name
        port_text = answer.first("port")
        if port is None:
            port = parse_port(port_text, answer.places["port"]) if port_text else DEFAULT_PORT
        user = user or answer.first("user") or config.local_user
        tokens = {
            "h": hostname,
            "n": name,
            "p": str(port),
            "r": user,
            "u": config.local_user,
            "l": config.local_host,
            "L": config.local_host.partition(".")[0],
            "d": os.path.expanduser("~"),
            "i": str(os.getuid()),
            "k": answer.first("hostkeyalias") or hostname,
        }
        explicit = self._settings.identity_files or answer.options.get("identityfile", ())
        jumps, proxy_command = self._way(answer, jump, name, tokens)
        return Target(
            name=name,
            hostname=hostname,
            port=port,
            user=user,
            site=site,
            identity_files=self._identities(answer, tokens),
            explicit_keys=bool(explicit),
            certificate_files=self._expand_all(answer, "certificatefile", tokens),
            identities_only=answer.is_yes("identitiesonly"),
            agent=self._agent(answer, tokens),
            jumps=jumps,
            proxy_command=proxy_command,
            known_hosts=self._known_hosts(answer, tokens),
            host_key_alias=answer.first("hostkeyalias"),
            ciphers=answer.first("ciphers"),
            kex=answer.first("kexalgorithms"),
            host_key_algs=answer.first("hostkeyalgorithms"),
            connect_timeout_s=self._timeout(answer),
        )

    def _way(
        self, answer: Answer, jump: str | None, name: str, tokens: dict[str, str]
    ) -> tuple[tuple[Hop, ...], str | None]:
        """Jump hosts or a proxy command; of the two keywords the one that stands first counts (ssh_config(5))."""
        if jump:
            hops = parse_jumps(jump, f"jump of {name}")
            return (hops, None) if hops and hops[-1].name != name else ((), None)
        proxy_jump, proxy_command = answer.first("proxyjump"), answer.first("proxycommand")
        order = list(answer.options)
        if proxy_jump and (not proxy_command or order.index("proxyjump") < order.index("proxycommand")):
            hops = parse_jumps(self._expand(answer, "proxyjump", tokens) or "", answer.places["proxyjump"])
            return hops, None
        if proxy_command and proxy_command.strip().lower() != "none":
            return (), self._config.expand_for_shell(proxy_command, tokens, answer.places["proxycommand"])
        return (), None

    def _identities(self, answer: Answer, tokens: dict[str, str]) -> tuple[str, ...]:
        ours = tuple(os.path.expanduser(p) for p in self._settings.identity_files)
        theirs = self._expand_all(answer, "identityfile", tokens)
        if "identityfile" not in answer.options and not ours:
            theirs = tuple(os.path.expanduser(f"~/.ssh/{name}") for name in DEFAULT_IDENTITIES)
        return tuple(dict.fromkeys(ours + theirs))

    def _agent(self, answer: Answer, tokens: dict[str, str]) -> str | None:
        value = answer.first("identityagent")
        if value is None or value == "SSH_AUTH_SOCK":
            return os.environ.get("SSH_AUTH_SOCK") or None
        if value.lower() == "none":
            return None
        if value.startswith("$") and not value.startswith("${"):
            return os.environ.get(value[1:]) or None
        return self._expand(answer, "identityagent", tokens)

    def _known_hosts(self, answer: Answer, tokens: dict[str, str]) -> tuple[str, ...]:
        if "userknownhostsfile" in answer.options:
            users = self._expand_all(answer, "userknownhostsfile", tokens)
        else:
            users = (os.path.expanduser(self._settings.known_hosts),) if self._settings.known_hosts else ()
        if "globalknownhostsfile" in answer.options:
            return users + self._expand_all(answer, "globalknownhostsfile", tokens)
        return users + GLOBAL_KNOWN_HOSTS

    def _timeout(self, answer: Answer) -> float:
        value = answer.first("connecttimeout")
        if value is None or value.lower() == "none":
            return self._settings.connect_timeout_s
        if not value.isascii() or not value.isdigit() or int(value) == 0:
            raise ConfigError(
                f"{answer.places['connecttimeout']}: {value!r} is not a number of seconds", hint="1 or more"
            )
        return min(float(value), self._settings.connect_timeout_s)

    def _expand(self, answer: Answer, keyword: str, tokens: dict[str, str]) -> str | None:
        value = answer.first(keyword)
        return None if value is None else self._config.expand(value, tokens, answer.places[keyword])

    def _expand_all(self, answer: Answer, keyword: str, tokens: dict[str, str]) -> tuple[str, ...]:
        values = [v for v in answer.options.get(keyword, ()) if v.lower() != "none"]
        return tuple(self._config.expand(v, tokens, answer.places[keyword]) for v in values)

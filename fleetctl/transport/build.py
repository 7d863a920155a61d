"""The transports a configuration asks for."""

from __future__ import annotations

import contextlib
import random
import resource
from pathlib import Path

from fleetctl.clock import Clock
from fleetctl.config.schema import Config
from fleetctl.transport.base import Transport
from fleetctl.transport.local import LocalTransport
from fleetctl.transport.pool import Connections
from fleetctl.transport.replay import ReplayTransport

HOST_KEYS_NAME = "host_keys"  # beside the database


def host_keys_path(config: Config) -> Path:
    """Our own store of accepted host keys: `ssh.host_keys`, else beside the database."""
    if config.ssh.host_keys:
        return Path(config.ssh.host_keys).expanduser()
    return Path(config.store.path).expanduser().parent / HOST_KEYS_NAME


def build_transports(
    config: Config, *, clock: Clock | None = None, rng: random.Random | None = None
) -> dict[str, Transport]:
    """Kind ("ssh", "local", "replay") -> transport. Reads the SSH config; imports asyncssh. Raises ConfigError."""
    from fleetctl.transport.ssh import SshTransport

    ssh = SshTransport(
        config.ssh,
        host_keys_path=host_keys_path(config),
        site_limits={site.name: site.max_connecting for site in config.sites},
        clock=clock,
        rng=rng,
    )
    return {"ssh": ssh, "local": LocalTransport(), "replay": ReplayTransport(clock=clock)}


def raise_file_limit() -> int:
    """Each connection is a file descriptor; the usual soft limit of 1024 is far below the hard one. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            return hard
    return soft


def build_connections(config: Config, *, clock: Clock | None = None, rng: random.Random | None = None) -> Connections:
    """Live sessions over all transports of a configuration, within its limits per site."""
    raise_file_limit()
    return Connections(
        build_transports(config, clock=clock, rng=rng),
        site_sessions={site.name: site.max_sessions for site in config.sites},
        clock=clock,
        rng=rng,
    )

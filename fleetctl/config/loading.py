"""fleet.toml -> one frozen Config; every mistake at once, each with file, line and what to write instead."""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from pathlib import Path

from fleetctl.config.build import Problems, build
from fleetctl.config.schema import Config
from fleetctl.errors import ConfigError

MAX_BYTES = 16 * 1024 * 1024  # a fleet of 12,500 folded hosts needs a few KiB; unfolded about 1 MiB


def config_places() -> list[Path]:
    """Where fleet.toml is looked for, in this order, when no path is given."""
    named = os.environ.get("FLEETCTL_CONFIG")
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return ([Path(named)] if named else []) + [Path("fleet.toml"), home / "fleetctl" / "fleet.toml"]


def find_config(path: Path | None = None) -> Path:
    """The file to read. Raises ConfigError when there is none, naming the places looked at."""
    if path is not None:
        return path
    if named := os.environ.get("FLEETCTL_CONFIG"):
        return Path(named)
    for place in config_places():
        if place.is_file():
            return place
    raise ConfigError(
        f"no fleet.toml: looked at {', '.join(str(p) for p in config_places())}",
        hint="`fleetctl init` writes a first one from your SSH config; `fleetctl demo` needs none",
    )


def load_config(path: Path | None = None) -> Config:
    """Read, check and build. Paths inside (`store.path`, `ssh.config` ...) become absolute, relative to the file.

    Raises ConfigError with one line per mistake.
    """
    file = find_config(path)
    try:
        with file.open("rb") as handle:
            raw = handle.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", hint="`fleetctl init` writes a first fleet.toml") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(
            f"{file}: larger than {MAX_BYTES >> 20} MiB", hint="fold hosts into node sets: gpu[0001-9999]"
        )
    return parse_config(raw, str(file), file.resolve().parent)


def parse_config(raw: bytes, name: str = "fleet.toml", base: Path | None = None) -> Config:
    """The Config in these bytes. `name` stands in messages; relative paths are taken from `base` (default: here)."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{name}:{line}: not UTF-8 (byte {raw[error.start]:#04x})", hint="save the file as UTF-8"
        ) from error
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is one; so is a number of 5,000 digits
        line_match = re.search(r"at line (\d+)", str(error))
        where = f"{name}:{line_match[1]}" if line_match else name
        raise ConfigError(f"{where}: not valid TOML: {error}", hint="fleet.example.toml shows every setting") from error
    problems = Problems(name, text)
    config = build(Config, table, (), problems)
    if config is None:
        raise _error(problems)
    return _absolute(config, base or Path.cwd())


def _error(problems: Problems) -> ConfigError:
    shown = problems.found[:20]
    more = len(problems.found) - len(shown)
    text = "\n".join(shown) + (f"\n... and {more} more" if more else "")
    return ConfigError(text, hint="`fleetctl config explain` lists every setting")


def _absolute(config: Config, base: Path) -> Config:
    def place(value: str) -> str:
        return str(base / Path(value).expanduser()) if value else value

    store = dataclasses.replace(config.store, path=place(config.store.path))
    host_keys = config.ssh.host_keys or str(Path(store.path).with_name("host_keys"))
    ssh = dataclasses.replace(
        config.ssh,
        config=place(config.ssh.config),
        known_hosts=place(config.ssh.known_hosts),
        host_keys=place(host_keys),
        identity_files=tuple(place(f) for f in config.ssh.identity_files),
    )
    return dataclasses.replace(config, store=store, ssh=ssh)

"""How credentials are written down: a file of mode 0600 in netrc, TOML or JSON form, or a command that prints one."""

from __future__ import annotations

import json
import shlex
import stat
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from fleetctl.errors import AuthError, UsageError
from fleetctl.facility.endpoint import Credentials

_MAX_BYTES = 65_536
_NAMES = {
    "user": "user",
    "username": "user",
    "login": "user",
    "name": "user",
    "account": "context",
    "password": "password",
    "pass": "password",
    "community": "community",
    "privilege": "privilege",
    "priv": "privilege",
    "auth": "auth_protocol",
    "auth_protocol": "auth_protocol",
    "auth_key": "auth_key",
    "priv_protocol": "priv_protocol",
    "priv_key": "priv_key",
    "context": "context",
}


def load_credentials(path: Path, host: str = "") -> Credentials:
    """Credentials for `host` from a file. Raises UsageError (unreadable) or AuthError (readable by others)."""
    try:
        mode = path.stat().st_mode
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(
            f"cannot read the credentials in {path}: {error.strerror}", hint="give an existing file"
        ) from None
    if stat.S_ISREG(mode) and mode & 0o077:
        raise AuthError(f"{path} may be read by others", hint=f"chmod 600 {path}")
    return parse_credentials(text, host, str(path))


def run_credentials(command: str, host: str = "", timeout_s: float = 20.0) -> Credentials:
    """Credentials from what a command prints (`pass show bmc/{host}`). Raises AuthError."""
    words = [word.replace("{host}", host) for word in shlex.split(command)]
    if not words:
        raise UsageError("the credentials command is empty", hint="name a program that prints user and password")
    try:
        done = subprocess.run(words, capture_output=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AuthError(f"{words[0]} gave no credentials: {error}", hint="run it by hand") from None
    if done.returncode:
        raise AuthError(f"{words[0]} ended with status {done.returncode}", hint="run it by hand")
    return parse_credentials(done.stdout[:_MAX_BYTES].decode("utf-8", "replace"), host, words[0])


def parse_credentials(text: str, host: str = "", where: str = "credentials") -> Credentials:
    """netrc (`machine HOST login USER password WORD`, `default ...`), TOML or JSON keys, or one line `user:password`.

    TOML and JSON may hold one table per host; a host's table wins over the top level. Raises UsageError.
    """
    stripped = text.strip()
    words = stripped.split()
    if words and words[0] in ("machine", "default"):
        return _netrc(words, host, where)
    data: Any
    if stripped.startswith("{"):
        try:
            data = json.loads(stripped)
        except (ValueError, RecursionError):
            raise UsageError(f"{where} is not valid JSON", hint=_FORMS) from None
    elif "=" in stripped:
        try:
            data = tomllib.loads(stripped)
        except tomllib.TOMLDecodeError:
            data = dict(_pair(line) for line in stripped.splitlines() if "=" in line and line.strip()[:1] != "#")
    elif len(words) == 1 and ":" in stripped:
        user, _, password = stripped.partition(":")
        return Credentials(user=user, password=password)
    else:
        raise UsageError(f"{where} is in no form that is known", hint=_FORMS)
    if not isinstance(data, Mapping):
        raise UsageError(f"{where} is in no form that is known", hint=_FORMS)
    return _from_mapping(data, host)


def _pair(line: str) -> tuple[str, str]:
    key, _, value = line.partition("=")
    return key.strip(), value.strip().strip("\"'")


def _netrc(words: list[str], host: str, where: str) -> Credentials:
    entries: list[tuple[str, dict[str, str]]] = []
    i = 0
    while i < len(words):
        if words[i] == "machine" and i + 1 < len(words):
            entries.append((words[i + 1], {}))
            i += 2
        elif words[i] == "default":
            entries.append(("", {}))
            i += 1
        elif entries and i + 1 < len(words):
            entries[-1][1][words[i]] = words[i + 1]
            i += 2
        else:
            raise UsageError(f"{where} is not a netrc file", hint=_FORMS)
    for name in (host, ""):
        for machine, values in entries:
            if machine == name:
                return _from_mapping(values, host)
    if len(entries) == 1 and not host:
        return _from_mapping(entries[0][1], host)
    raise AuthError(f"{where} has no entry for {host}", hint="add `machine HOST login USER password WORD`")


def _from_mapping(data: Mapping[str, Any], host: str) -> Credentials:
    chosen: dict[str, Any] = {k: v for k, v in data.items() if not isinstance(v, Mapping)}
    own = data.get(host)
    if isinstance(own, Mapping):
        chosen.update(own)
    v3 = data.get("v3")
    if isinstance(v3, Mapping):
        chosen.update(v3)
    if "auth_key" in chosen and "priv" in chosen:  # beside an SNMPv3 key, `priv` names the cipher
        chosen.setdefault("priv_protocol", chosen.pop("priv"))
    known = {f.name for f in fields(Credentials)}
    values = {_NAMES.get(k.lower(), k.lower()): str(v) for k, v in chosen.items() if v is not None}
    return Credentials(**{k: v for k, v in values.items() if k in known})


_FORMS = 'netrc (`machine HOST login USER password WORD`), or lines like user = "..." and password = "..."'
